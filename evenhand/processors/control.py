"""Commands and decisions to controls: what holds for a model from a place in the request log on."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import msgspec

from evenhand.codec import decode, decoder, digest, encode, stable_id
from evenhand.envelope import cloud_headers
from evenhand.errors import InvalidConfiguration, InvalidEvent
from evenhand.events import CommandGiven, ControlChanged, DecisionMade, Served
from evenhand.experiments.decision import TERMINAL
from evenhand.experiments.phases import reweighted, without
from evenhand.partitioning import partition_of
from evenhand.processors.base import Output, Processor, Record, Row
from evenhand.processors.control_log import ControlLog
from evenhand.processors.dead_letter import dead_letter
from evenhand.topics import COMMANDS, DEAD_LETTERS, DECISIONS, REQUESTS

SOURCE = "/evenhand/control"
DONE_ROW, NAME_ROW = b"done/", b"name/"
LONGEST_NAME = 200  # of a served model: names of what is made for it are longer, and must fit as well
LONGEST_S = 10 * 366 * 86_400  # that an outcome may take: milliseconds of it fit in what keeps them
PHASES = ("change_weights", "drop_variant")  # another phase of the experiment that runs


def control(
    served: Served, model: str, time_ms: int, cause: str, *, ended: str | None = None, reason: str = ""
) -> ControlChanged:
    """A control of a model, with the id that its cause gives it."""
    return ControlChanged(
        id=stable_id("control", model, cause), time=time_ms, key=model, model=model, served=served,
        digest=digest(encode(served)), cause=cause, ended=ended, reason=reason,
    )  # fmt: skip


def after_command(current: ControlChanged | None, command: CommandGiven, used: Iterable[str] = ()) -> ControlChanged:
    """What holds after a command; InvalidEvent says why it is refused. `used` names experiments that have run."""
    served = _commanded(current, command)
    experiment = served.experiment
    _check_sizes(command.model, served)
    before = None if current is None else current.served.experiment
    if experiment is not None:
        if experiment.model != command.model:
            raise InvalidEvent(
                f"experiment {experiment.name!r} is of model {experiment.model!r}, not {command.model!r}"
            )
        if experiment.variant(experiment.champion).version != served.champion:
            raise InvalidEvent(
                f"experiment {experiment.name!r} has version {experiment.variant(experiment.champion).version!r} as "
                f"champion, but {served.champion!r} serves {command.model!r}: name that one"
            )
        is_another_phase = before is not None and command.command in PHASES
        if experiment != before and experiment.name in used and not is_another_phase:
            raise InvalidEvent(
                f"an experiment named {experiment.name!r} has run: its evidence is counted, use a new name"
            )
    ended = before.name if before is not None and (experiment is None or experiment.name != before.name) else None
    return control(served, command.model, _after(current, command.time), command.id, ended=ended, reason=command.reason)


def _check_sizes(model: str, served: Served) -> None:
    """InvalidEvent for what the processors cannot keep: it would end every worker, at each start again."""
    if len(model) > LONGEST_NAME:
        raise InvalidEvent(f"the name of model {model[:20]!r}... has {len(model)} characters: at most {LONGEST_NAME}")
    experiment = served.experiment
    seconds = {"wait_s": served.wait_s}
    if experiment is not None:
        seconds |= {"the experiment's epoch_s": experiment.epoch_s, "the experiment's grace_s": experiment.grace_s}
    for name, value in seconds.items():
        if value > LONGEST_S:
            raise InvalidEvent(f"{name} is {value}, longer than ten years: seconds are wanted, at most {LONGEST_S}")


def _commanded(current: ControlChanged | None, command: CommandGiven) -> Served:
    if command.command == "apply_configuration":
        if command.served is None:
            raise InvalidEvent("apply_configuration needs `served`")
        return command.served
    if current is None:
        raise InvalidEvent(f"no model {command.model!r} is served: apply a configuration first")
    running = current.served.experiment
    if command.command == "start_experiment":
        if command.experiment is None:
            raise InvalidEvent("start_experiment needs `experiment`")
        if running is not None:
            raise InvalidEvent(f"experiment {running.name!r} is running on {command.model!r}: stop it first")
        return msgspec.structs.replace(current.served, experiment=command.experiment)
    if running is None or running.name != command.subject:
        name = None if running is None else running.name
        raise InvalidEvent(f"experiment {command.subject!r} is not running on {command.model!r}: {name!r} is")
    if command.command == "change_weights":
        if command.weights is None:
            raise InvalidEvent("change_weights needs `weights`")
        return msgspec.structs.replace(current.served, experiment=reweighted(running, command.weights))
    if command.command == "drop_variant":
        if command.variant not in running.challengers:
            raise InvalidEvent(
                f"drop_variant needs a `variant` of {list(running.challengers)}, not {command.variant!r}"
            )
        return msgspec.structs.replace(current.served, experiment=without(running, command.variant))
    return msgspec.structs.replace(current.served, experiment=None)


def after_decision(
    current: ControlChanged | None, decision: DecisionMade, time_ms: int | None = None
) -> ControlChanged | None:
    """What holds after a decision: None if nothing changes. A promoted version serves, a harmful one goes."""
    experiment = None if current is None else current.served.experiment
    if current is None or experiment is None or experiment.name != decision.subject:
        return None
    if decision.weights is not None and decision.action == "continue":
        known = {variant.name for variant in experiment.variants}
        changed = reweighted(experiment, {name: each for name, each in decision.weights.items() if name in known})
        served = msgspec.structs.replace(current.served, experiment=changed)
        return control(served, decision.model, _after(current, time_ms or decision.time), decision.id, reason="bandit")
    if decision.action not in TERMINAL or decision.variant not in experiment.challengers:
        return None
    if decision.action == "promote":
        champion = experiment.variant(decision.variant).version
        served = msgspec.structs.replace(current.served, champion=champion, experiment=None)
    else:
        served = msgspec.structs.replace(current.served, experiment=without(experiment, decision.variant))
    ended = experiment.name if served.experiment is None else None
    return control(
        served, decision.model, _after(current, time_ms or decision.time), decision.id,
        ended=ended, reason="; ".join(decision.reasons),
    )  # fmt: skip


def _after(current: ControlChanged | None, time_ms: int) -> int:
    """Controls of a model are ordered by time: a later one gets a later time, whatever its sender's clock said."""
    return time_ms if current is None else max(time_ms, current.time + 1)


class Control(Processor):
    """Keeps what holds for the models whose key is in its partition, and writes each change into the request log."""

    name = "control"
    reads = (COMMANDS, DECISIONS)

    def __init__(self, partition: int, partitions: int) -> None:
        super().__init__(partition, partitions)
        self.controls = ControlLog()
        self._done: set[str] = set()
        self._names: set[str] = set()

    def load(self, rows: Iterable[tuple[bytes, bytes]]) -> None:
        every = list(rows)
        self.controls.load(every)
        for key, _ in every:
            if key.startswith(DONE_ROW):
                self._done.add(key.removeprefix(DONE_ROW).decode())
            elif key.startswith(NAME_ROW):
                self._names.add(key.removeprefix(NAME_ROW).decode())

    def rows(self) -> Iterator[tuple[bytes, bytes]]:
        yield from self.controls.rows()
        for done in self._done:
            yield DONE_ROW + done.encode(), b"1"
        for name in self._names:
            yield NAME_ROW + name.encode(), b"1"

    def apply(self, topic: str, records: Sequence[Record]) -> Output:
        output = Output()
        for record in records:
            if topic == DECISIONS:
                event: Any = decoder(DecisionMade).decode(record.value or b"")
                changed = after_decision(self.controls.holding.get(event.model), event)
                if changed is not None and event.id not in self._done:
                    self._take(changed, output)
                continue
            try:
                self._take_command(decode(topic, record.value), record, output)
            except (InvalidEvent, InvalidConfiguration) as error:
                output.send(DEAD_LETTERS, self.partition, dead_letter(topic, self.partition, record, str(error)))
        return output

    def _take_command(self, command: CommandGiven, record: Record, output: Output) -> None:
        place = partition_of(command.model, self.partitions)
        if place != self.partition:  # its sender's partitioner differs: the model's own partition decides
            headers = cloud_headers("CommandGiven", command.id, SOURCE, command.time)
            output.send(COMMANDS, place, Row(command.model.encode(), record.value, headers))
        elif command.id not in self._done and command.command in (
            "apply_configuration", "start_experiment", "stop_experiment", *PHASES,
        ):  # fmt: skip
            self._take(after_command(self.controls.holding.get(command.model), command, self._names), output)

    def _take(self, changed: ControlChanged, output: Output) -> None:
        self._done.add(changed.cause)
        output.rows[DONE_ROW + changed.cause.encode()] = b"1"
        output.rows.update(self.controls.take(changed))
        experiment = changed.served.experiment
        if experiment is not None:
            self._names.add(experiment.name)
            output.rows[NAME_ROW + experiment.name.encode()] = b"1"
        headers = cloud_headers("ControlChanged", changed.id, SOURCE, changed.time)
        for partition in range(self.partitions):
            output.send(REQUESTS, partition, Row(changed.model.encode(), encode(changed), headers))
