"""Two decision logs side by side: a recorded one and that of its replay.

Neither knows everything. A replay decides what the ticks of the copied log close: every epoch whose end plus grace
lies before the watermark at the end of the copy. The recording has decided what its judge had come to when it was
read; a live one is read after the replay, so it has come further, while an export may lack the decisions of its last
seconds. So epochs are compared up to whichever end comes first, for each experiment by itself; within them a decision
that only one side has is a difference. What only the replay has after that is counted as `beyond`.
"""

from collections.abc import Iterable, Mapping

import msgspec

from evenhand.codec import decoder
from evenhand.epochs import last_closed_epoch
from evenhand.events import ControlChanged, DecisionMade, DriftCleared, DriftDetected, DriftJudged
from evenhand.judgement import Judgement, log_digest
from evenhand.processors.control import after_decision
from evenhand.processors.control_log import age

_decode_signal = decoder(DriftDetected, DriftCleared, DriftJudged).decode


class Difference(msgspec.Struct):
    """The first decision, in the order of the decision log, that differs; None on the side that has none."""

    recorded: DecisionMade | None
    replayed: DecisionMade | None


class Signals(msgspec.Struct, frozen=True):
    """Signals of drift, as far as both have come; `differing` are the ids of those that are not the same bytes."""

    compared: int = 0
    differing: tuple[str, ...] = ()


class SignalLog:
    """The first record of each signal of drift, and up to when all that is said of each model stands there."""

    def __init__(self, values: Iterable[bytes | None] = ()) -> None:
        self.first: dict[str, bytes] = {}
        self.places: dict[str, tuple[str, int]] = {}  # model and time, by id
        self.judged_ms: dict[str, int] = {}
        for value in values:
            self.hear(value or b"")

    def hear(self, value: bytes) -> None:
        """Take a record of `drift-signals.v1`. Recordings of before there were ticks end before their last signal."""
        event = _decode_signal(value)
        if isinstance(event, DriftJudged):
            self._reach(event.model, event.time)
        elif isinstance(event, DriftDetected | DriftCleared):
            self._reach(event.model, event.time - 1)
            self.first.setdefault(event.id, value)
            self.places.setdefault(event.id, (event.model, event.time))

    def _reach(self, model: str, time_ms: int) -> None:
        self.judged_ms[model] = max(time_ms, self.judged_ms.get(model, -1))


def compare_signals(recorded: SignalLog, replayed: SignalLog) -> Signals:
    """Compare as far as drift is judged on both sides: an export may lack the last signals, and so may a replay."""
    both = sorted(
        of
        for of, (model, time) in {**recorded.places, **replayed.places}.items()
        if time <= min(each.judged_ms.get(model, -1) for each in (recorded, replayed))
    )
    return Signals(len(both), tuple(of for of in both if recorded.first.get(of) != replayed.first.get(of)))


class Comparison(msgspec.Struct):
    """What came of it.

    `beyond` counts what only the replay has come to, `left_out` names experiments that began before the copy, and
    `unlike` lists recorded controls that the replayed decisions do not lead to.
    """

    compared: int
    recorded_digest: str
    replayed_digest: str
    difference: Difference | None
    beyond: int
    left_out: list[str]
    unlike: list[ControlChanged]
    drift: Signals = Signals()

    @property
    def equal(self) -> bool:
        """Whether both are the same, byte for byte."""
        return self.difference is None and not self.unlike and not self.drift.differing


def compare(recorded: Judgement, replayed: Judgement, watermark: int, controls: Iterable[ControlChanged]) -> Comparison:
    """Compare as far as both can know: up to the watermark of the copied log, in which these controls stand."""
    ordered = sorted(controls, key=age)
    begun = {control.served.experiment.name for control in ordered if control.served.experiment is not None}
    last: dict[str, int] = {}
    left_out = []
    for name, subject in recorded.subjects.items():
        again = replayed.subjects.get(name)
        closed = last_closed_epoch(watermark, subject.experiment.epoch_s, subject.experiment.grace_s)
        if subject.first_epoch > closed:
            continue
        if name not in begun or (again is not None and again.first_epoch != subject.first_epoch):
            left_out.append(name)
        else:
            last[name] = min(closed, max(subject.through, subject.last_decided))
    ours, theirs = _within(recorded, last), _within(replayed, last)
    places = sorted(ours.keys() | theirs.keys())
    differing = next((at for at in places if ours.get(at) != theirs.get(at)), None)
    return Comparison(
        compared=len(places),
        recorded_digest=log_digest(ours[at] for at in sorted(ours)),
        replayed_digest=log_digest(theirs[at] for at in sorted(theirs)),
        difference=None
        if differing is None
        else Difference(_decoded(ours.get(differing)), _decoded(theirs.get(differing))),
        beyond=sum(each.epochs[1] > last.get(each.subject, each.epochs[1]) for each in replayed.decisions()),
        left_out=left_out,
        unlike=_unlike(ordered, {event.id: event for event in replayed.decisions()}),
    )


def _unlike(controls: Iterable[ControlChanged], decisions: Mapping[str, DecisionMade]) -> list[ControlChanged]:
    """Controls of decisions that were replayed, and that lead to another control now."""
    found = []
    holding: dict[str, ControlChanged] = {}
    for control in controls:
        before, decision = holding.get(control.model), decisions.get(control.cause)
        if before is not None and decision is not None and after_decision(before, decision) != control:
            found.append(control)
        holding[control.model] = control
    return found


def _within(judgement: Judgement, last: dict[str, int]) -> dict[tuple[tuple[int, int], str], bytes]:
    """Decisions up to the last epoch that counts, by their place in the decision log."""
    return {
        (event.epochs, event.id): value
        for event, value in zip(judgement.decisions(), judgement.log(), strict=True)
        if event.epochs[1] <= last.get(event.subject, -1)
    }


def _decoded(value: bytes | None) -> DecisionMade | None:
    return None if value is None else msgspec.json.decode(value, type=DecisionMade)
