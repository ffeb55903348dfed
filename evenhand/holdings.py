"""Which version held which alias of a model at any time, who or what gave it to it, and on what evidence.

Commands and decisions are kept for ever, and what holds is a function of them. So the answer does not depend on any
registry's memory, and reaches back to the first command.
"""

from collections.abc import Iterable, Mapping, Sequence
from operator import itemgetter
from typing import Any

import msgspec

from evenhand.codec import decoder
from evenhand.envelope import header
from evenhand.events import CommandGiven, ControlChanged, DecisionMade
from evenhand.processors.base import Record
from evenhand.processors.control import Control
from evenhand.topics import COMMANDS, DECISIONS, REQUESTS

CHAMPION, CHALLENGER = "champion", "challenger"


class Approval(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Somebody's word for or against what came next. `digest` is of what was looked at."""

    command: str
    by: str
    time: int
    subject: str | None = None
    digest: str | None = None
    reason: str = ""


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """A change of what holds: from `since` on, until the next one.

    `by` is who gave the command, or the experiment that decided. `evidence` is the digest of what a decision rests
    on, and `places` says where in the log that lies.
    """

    model: str
    since: int
    until: int | None = None
    aliases: dict[str, str] = {}
    challengers: tuple[str, ...] = ()
    experiment: str | None = None
    cause: str
    kind: str
    by: str
    reasons: tuple[str, ...] = ()
    epochs: tuple[int, int] | None = None
    evidence: str | None = None
    places: Any = None
    approvals: tuple[Approval, ...] = ()


def histories(log: Mapping[tuple[str, int], Sequence[Record]], partitions: int) -> dict[str, list[Change]]:
    """Return the changes of every model, oldest first, from the records of commands and decisions by partition."""
    found: dict[str, list[Change]] = {}
    for partition in range(partitions):
        for change in _of_partition(log, partition, partitions):
            found.setdefault(change.model, []).append(change)
    return {
        model: [
            msgspec.structs.replace(change, until=later.since if later else None)
            for change, later in zip(changes, [*changes[1:], None], strict=True)
        ]
        for model, changes in sorted(found.items())
    }


def as_of(changes: Iterable[Change], time_ms: int) -> Change | None:
    """Return what held at a time; None before the first command."""
    held = [change for change in changes if change.since <= time_ms]
    return held[-1] if held else None


def alias_changes(known: Mapping[str, str], now: Mapping[str, str]) -> list[tuple[str, str | None]]:
    """Return what to tell a registry that knows something else: aliases to set, and (None) those to take away.

    >>> alias_changes({"champion": "1.0.0", "challenger": "1.1.0"}, {"champion": "1.1.0"})
    [('challenger', None), ('champion', '1.1.0')]
    """
    return [(alias, now.get(alias)) for alias in sorted({*known, *now}) if known.get(alias) != now.get(alias)]


def _of_partition(log: Mapping[tuple[str, int], Sequence[Record]], partition: int, partitions: int) -> Iterable[Change]:
    """Let the control agent's own processor go over both topics, in order of arrival."""
    control = Control(partition, partitions)
    arrivals = sorted(
        ((record.timestamp, topic, record) for topic in control.reads for record in log.get((topic, partition), ())),
        key=itemgetter(0, 1),
    )
    causes: dict[str, tuple[CommandGiven | DecisionMade, Record]] = {}
    approvals: dict[str, list[Approval]] = {}
    for _, topic, record in arrivals:
        event = _cause(topic, record)
        repeat = event is not None and event.id in causes
        if event is not None:
            causes.setdefault(event.id, (event, record))
        if not repeat and isinstance(event, CommandGiven) and event.command in {"approve", "refuse"}:
            approvals.setdefault(event.model, []).append(
                Approval(
                    command=event.command, by=event.by, time=event.time, subject=event.subject, digest=event.digest,
                    reason=event.reason,
                )
            )  # fmt: skip
        for row in control.apply(topic, [record]).sends.get((REQUESTS, 0), ()):
            changed = decoder(ControlChanged).decode(row.value or b"")
            cause, at = causes[changed.cause]
            waiting = approvals.get(changed.model, [])
            of_it = tuple(one for one in waiting if one.subject in _subjects(changed, cause))
            approvals[changed.model] = [one for one in waiting if one not in of_it]
            yield _change(changed, cause, at, of_it)


def _cause(topic: str, record: Record) -> CommandGiven | DecisionMade | None:
    kinds: dict[str, Any] = {COMMANDS: CommandGiven, DECISIONS: DecisionMade}
    try:
        event: CommandGiven | DecisionMade = decoder(kinds[topic]).decode(record.value or b"")
    except (KeyError, msgspec.DecodeError):  # what the control agent dead-letters, too
        return None
    return event


def _subjects(control: ControlChanged, cause: CommandGiven | DecisionMade) -> set[str | None]:
    """What an approval of a change may have named."""
    experiment = control.served.experiment
    return {None, cause.subject, control.ended, experiment.name if experiment else None}


def _change(
    control: ControlChanged, cause: CommandGiven | DecisionMade, record: Record, approvals: tuple[Approval, ...]
) -> Change:
    experiment = control.served.experiment
    aliases = {CHAMPION: control.served.champion}
    challengers: tuple[str, ...] = ()
    if experiment is not None:
        challengers = tuple(experiment.variant(name).version for name in experiment.challengers)
        if challengers:
            aliases[CHALLENGER] = challengers[0]
    held: dict[str, Any] = {
        "model": control.model, "since": control.time, "aliases": aliases, "challengers": challengers,
        "experiment": experiment.name if experiment else None, "cause": cause.id, "approvals": approvals,
    }  # fmt: skip
    if isinstance(cause, CommandGiven):
        reasons = (cause.reason,) if cause.reason else ()
        return Change(**held, kind=cause.command, by=cause.by, reasons=reasons)
    evidence = header(record, "evidence")
    return Change(
        **held, kind=cause.action, by=cause.subject, reasons=cause.reasons, epochs=cause.epochs,
        evidence=cause.evidence_digest, places=msgspec.json.decode(evidence) if evidence else None,
    )  # fmt: skip
