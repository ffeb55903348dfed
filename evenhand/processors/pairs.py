"""What attribution keeps of a prediction and of an outcome, and which pairs of them count."""

from collections.abc import Callable, Iterable

import msgspec

from evenhand.codec import encode, stable_id
from evenhand.envelope import NEVER, cloud_headers, float_header, integer_header
from evenhand.epochs import delay_ms
from evenhand.events import OutcomeObserved, PredictionMade, PredictionScored, ShadowValue
from evenhand.processors.base import Record, Row

SOURCE = "/evenhand/attribution"


class Prediction(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What attribution keeps of a PredictionMade. One with an error has no values and waits for nothing."""

    request_id: str
    key: str
    time: int
    seen_at: int
    response_time_ms: float | None
    model: str
    experiment: str | None
    variant: str
    version: str
    clusters: tuple[str, ...]
    target_times: tuple[int, ...]
    values: tuple[float, ...]
    shadows: tuple[tuple[str, str, tuple[float, ...]], ...]
    wait_ms: int
    grace_ms: int
    control: str = ""
    confidence: tuple[float, ...] = ()
    intervals: tuple[tuple[float, float], ...] = ()
    unit: str = ""  # empty: the request


class Outcome(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What attribution keeps of an OutcomeObserved."""

    id: str
    key: str
    time: int
    seen_at: int
    value: float
    request_id: str | None
    step: int
    target_time: int | None

    @property
    def address(self) -> str:
        """What it answers."""
        if self.request_id is not None:
            return f"{self.request_id}\x1f{self.step}"
        return f"{self.key}\x1e{self.target_time}"

    def may_answer(self, prediction: Prediction) -> bool:
        """Whether both were seen in time: neither later than the other's time plus the model's wait."""
        wait_ms = prediction.wait_ms
        return self.seen_at <= prediction.time + wait_ms and prediction.seen_at <= self.time + wait_ms


Placed = tuple[int, Outcome]  # where it lies, and what it is

pack = msgspec.msgpack.Encoder().encode
unpack_prediction = msgspec.msgpack.Decoder(Prediction).decode
unpack_outcome = msgspec.msgpack.Decoder(Outcome).decode


def prediction_of(record: Record, event: PredictionMade) -> Prediction:
    """What is kept of a prediction."""
    return Prediction(
        event.request_id, event.key, event.time, integer_header(record, "seen_at", NEVER),
        float_header(record, "response_time_ms"), event.model, event.experiment, event.variant, event.version,
        event.clusters, event.target_times, event.values,
        tuple([(shadow.variant, shadow.version, shadow.values) for shadow in event.shadows]),
        event.wait_s * 1000, event.grace_s * 1000, event.control, event.confidence, event.intervals or (),
        "" if event.unit == event.request_id else event.unit,
    )  # fmt: skip


def outcome_of(record: Record, event: OutcomeObserved) -> Outcome:
    """What is kept of an outcome."""
    return Outcome(
        event.id, event.key, event.time, integer_header(record, "seen_at"), event.value,
        event.request_id, event.step or 1, event.target_time,
    )  # fmt: skip


def pair_delay_ms(prediction: Prediction, outcome: Outcome) -> int:
    """The greater delay of the two (`epochs.delay_ms`)."""
    return max(0, prediction.seen_at - prediction.time, outcome.seen_at - outcome.time)


def is_late(prediction: Prediction, outcome: Outcome) -> bool:
    """Whether a pair stands further behind the ticks than its model's grace: it is scored, and no evidence."""
    return pair_delay_ms(prediction, outcome) > prediction.grace_ms


class Known(dict[str, list[Placed]]):
    """What answers each address, in order, looked up once: it holds for as long as no outcome comes."""

    def __init__(self, look_up: Callable[[str], list[Placed]]) -> None:
        super().__init__()
        self._look_up = look_up

    def __missing__(self, address: str) -> list[Placed]:
        found = self[address] = self._look_up(address)
        return found


Slot = tuple[int, int, Prediction]  # its address, its step from 0


class Seen:
    """What a run of outcomes has looked up: many of them may answer the same predictions.

    `winners` has the outcome that counts for each slot; who takes an outcome keeps it.
    """

    def __init__(
        self,
        look_up: Callable[[str], list[Placed]],
        answered_by: Callable[[Outcome], list[Slot]],
        winner: Callable[[Prediction, int, Known], Placed | None],
    ) -> None:
        self.known, self.winners = Known(look_up), dict[int, Placed | None]()
        self._answered_by, self._winner = answered_by, winner
        self._answered: dict[str, list[Slot]] = {}

    def of(self, outcome: Outcome) -> list[Slot]:
        """Slots that an outcome answers, whose winners are known from here on."""
        answered = self._answered.get(outcome.address)
        if answered is None:
            answered = self._answered[outcome.address] = self._answered_by(outcome)
            for slot, step, prediction in answered:
                if slot not in self.winners:
                    self.winners[slot] = self._winner(prediction, step, self.known)
        return answered


def in_order(placed: Placed) -> tuple[int, str]:
    """The order of preference among outcomes that are not late."""
    return placed[1].time, placed[1].id


def preferred(prediction: Prediction, found: Iterable[Iterable[Placed]]) -> Placed | None:
    """Of outcomes that may answer a prediction the one that is not late, then the earlier by (time, id).

    Each of the lists is in (time, id) order, so that its first one in time decides; many predictions may share one.
    """
    best: list[Placed] = []
    for answers in found:
        for placed in answers:
            if placed[1].may_answer(prediction):
                best.append(placed)
                if not is_late(prediction, placed[1]):
                    break
    if len(best) < 2:
        return best[0] if best else None
    return min(best, key=lambda placed: (is_late(prediction, placed[1]), *in_order(placed)))


def stays(prediction: Prediction, winner: Outcome, other: Outcome) -> bool:
    """Whether a winner surely stays one, whatever is said of another outcome: it is not late, and the earlier."""
    return (winner.time, winner.id) < (other.time, other.id) and not is_late(prediction, winner)


def is_preferred(copy: Prediction, other: Prediction) -> bool:
    """Whether a copy of a prediction takes its place: it is not late where the other is, or its answer is the lesser.

    Where neither is late, equal answers differ in nothing that counts, and the first stays. An error is no answer, so
    that a pair that was scored never has to be taken back.
    """
    lateness = delay_ms(copy.seen_at, copy.time) > copy.grace_ms, delay_ms(other.seen_at, other.time) > other.grace_ms
    if lateness[0] != lateness[1]:
        return lateness[1]
    mine, others = _answer(copy), _answer(other)
    if mine != others:
        return mine < others
    return lateness[0] and copy.seen_at < other.seen_at


def _answer(prediction: Prediction) -> tuple[bool, str, str, bytes]:
    """What a prediction says, without when it was seen and how long it took. Evidence orders pairs by the same."""
    said = pack(msgspec.structs.replace(prediction, seen_at=0, response_time_ms=None))
    return not prediction.values, prediction.variant, prediction.version, said


def scored_row(prediction: Prediction, step: int, outcome: Outcome, delay_ms: int) -> Row:
    """The PredictionScored of a step (from 0) of a prediction."""
    values, confidence, intervals = prediction.values, prediction.confidence, prediction.intervals
    event = PredictionScored(
        id=stable_id("scored", prediction.request_id, step + 1),
        time=max(prediction.time, outcome.time),
        key=prediction.key,
        request_id=prediction.request_id,
        model=prediction.model,
        variant=prediction.variant,
        version=prediction.version,
        cluster=prediction.clusters[step] if step < len(prediction.clusters) else prediction.request_id,
        step=step + 1,
        value=values[step],
        outcome=outcome.value,
        outcome_id=outcome.id,
        outcome_time=outcome.time,
        delay_ms=delay_ms,
        response_time_ms=prediction.response_time_ms,
        experiment=prediction.experiment,
        control="" if prediction.unit else prediction.control,
        shadows=tuple(
            [
                ShadowValue(variant=variant, version=version, value=said[step] if step < len(said) else None)
                for variant, version, said in prediction.shadows
            ]
        ),
        predicted_time=prediction.time,
        confidence=confidence[step] if step < len(confidence) else None,
        interval=intervals[step] if step < len(intervals) else None,
    )
    headers = cloud_headers("PredictionScored", event.id, SOURCE, event.time)
    return Row(prediction.key.encode(), encode(event), headers)
