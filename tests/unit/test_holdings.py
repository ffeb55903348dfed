"""Who held an alias when: right at every instant of a scripted history, with its approver and its evidence."""

import msgspec
import pytest

from evenhand.codec import encode
from evenhand.envelope import cloud_headers
from evenhand.events import CommandGiven, DecisionMade, Served
from evenhand.experiments.experiment import Experiment, Variant
from evenhand.holdings import Approval, Change, as_of, histories
from evenhand.offline import MemoryRecord
from evenhand.partitioning import partition_of
from evenhand.topics import COMMANDS, DECISIONS, PARTITIONS

MODEL = "btc-usd-1h"
START = 1_500_000_000_000
PLACES = [["evidence.v1", 3, 10, 17]]


def trial(name: str, champion: str, challenger: str) -> Experiment:
    return Experiment(
        name=name, model=MODEL, champion="old",
        variants=(Variant(name="old", version=champion, weight=50), Variant(name="new", version=challenger, weight=50)),
    )  # fmt: skip


def command(minute: int, name: str, by: str = "ada", **more: object) -> CommandGiven:
    return CommandGiven(
        id=f"c{minute}", time=START + minute * 60_000, key=MODEL, model=MODEL, command=name, by=by, **more  # type: ignore[arg-type]
    )  # fmt: skip


def decision(minute: int, subject: str, action: str, variant: str | None = None) -> DecisionMade:
    return DecisionMade(
        id=f"d{minute}", time=START + minute * 60_000, key=MODEL, model=MODEL, subject=subject, epochs=(minute, minute),
        action=action, reasons=(f"{action} at {minute}",), variant=variant, configuration_digest="c",  # type: ignore[arg-type]
        evidence_digest=f"e{minute}",
    )  # fmt: skip


SCRIPT: list[CommandGiven | DecisionMade] = [
    command(10, "apply_configuration", reason="first", served=Served(champion="1.0.0")),
    command(20, "start_experiment", by="bob", experiment=trial("one", "1.0.0", "1.1.0")),
    decision(25, "one", "continue"),
    command(28, "approve", by="eve", subject="one", digest="e30", reason="looked at it"),
    decision(30, "one", "promote", "new"),
    command(35, "start_experiment", experiment=trial("wrong", "1.0.0", "1.2.0")),  # 1.0.0 serves no more: refused
    command(40, "start_experiment", experiment=trial("two", "1.1.0", "1.2.0")),
    decision(50, "two", "stop_harm", "new"),
    command(60, "start_experiment", experiment=trial("three", "1.1.0", "1.3.0")),
    command(65, "stop_experiment", by="eve", subject="three", reason="a holiday"),
    command(70, "apply_configuration", by="bob", served=Served(champion="2.0.0")),
]
EXPECTED = [
    (9, None),
    (10, {"champion": "1.0.0"}),
    (19, {"champion": "1.0.0"}),
    (22, {"champion": "1.0.0", "challenger": "1.1.0"}),
    (29, {"champion": "1.0.0", "challenger": "1.1.0"}),
    (31, {"champion": "1.1.0"}),
    (38, {"champion": "1.1.0"}),
    (45, {"champion": "1.1.0", "challenger": "1.2.0"}),
    (55, {"champion": "1.1.0"}),
    (62, {"champion": "1.1.0", "challenger": "1.3.0"}),
    (66, {"champion": "1.1.0"}),
    (99, {"champion": "2.0.0"}),
]


@pytest.fixture(scope="module")
def changes() -> list[Change]:
    return histories(written(SCRIPT), PARTITIONS)[MODEL]


def written(script: list[CommandGiven | DecisionMade]) -> dict[tuple[str, int], list[MemoryRecord]]:
    """The log that the script leaves, every event twice: whoever sends may repeat."""
    log: dict[tuple[str, int], list[MemoryRecord]] = {}
    for event in [one for one in script for _ in range(2)]:
        topic = COMMANDS if isinstance(event, CommandGiven) else DECISIONS
        held = log.setdefault((topic, partition_of(MODEL, PARTITIONS)), [])
        headers = [
            ("evidence", msgspec.json.encode(PLACES)),
            *cloud_headers(type(event).__name__, event.id, "/test", event.time),
        ]
        held.append(MemoryRecord(len(held), event.time, MODEL.encode(), encode(event), headers))
    return log


@pytest.mark.parametrize(("minute", "aliases"), EXPECTED)
def test_the_version_that_held_an_alias_is_told_for_any_time(
    changes: list[Change], minute: int, aliases: dict[str, str] | None
) -> None:
    held = as_of(changes, START + minute * 60_000)
    assert (held.aliases if held else None) == aliases


def test_a_promotion_names_its_approver_and_its_evidence(changes: list[Change]) -> None:
    promoted = as_of(changes, START + 31 * 60_000)
    assert promoted is not None
    assert (promoted.kind, promoted.by, promoted.reasons) == ("promote", "one", ("promote at 30",))
    assert (promoted.evidence, promoted.epochs, promoted.places) == ("e30", (30, 30), PLACES)
    assert promoted.approvals == (
        Approval(
            command="approve", by="eve", time=START + 28 * 60_000, subject="one", digest="e30", reason="looked at it"
        ),
    )
    assert promoted.until == START + 40 * 60_000


def test_a_command_names_who_gave_it(changes: list[Change]) -> None:
    stopped = as_of(changes, START + 66 * 60_000)
    assert stopped is not None
    assert (stopped.kind, stopped.by, stopped.reasons, stopped.approvals) == (
        "stop_experiment", "eve", ("a holiday",), (),
    )  # fmt: skip


def test_what_is_no_command_changes_nothing() -> None:
    log = written(SCRIPT)
    place = (COMMANDS, partition_of(MODEL, PARTITIONS))
    log[place].insert(3, MemoryRecord(99, START + 15 * 60_000, None, b"no JSON", []))
    assert histories(log, PARTITIONS) == histories(written(SCRIPT), PARTITIONS)
