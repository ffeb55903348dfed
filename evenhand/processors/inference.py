"""Assignments to predictions: the assigned version answers, every other version on trial predicts in shadow.

A version is asked once for all rows of a batch that are its. Its answer for a row does not depend on the row's
neighbours (the models' contract), so neither does the prediction.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import accumulate
from typing import Any, NamedTuple, Protocol

import msgspec
import numpy as np
from numpy.typing import NDArray

from evenhand.codec import decoder, encode, stable_id
from evenhand.envelope import cloud_headers, header, integer_header
from evenhand.errors import ModelUnavailable
from evenhand.events import ControlChanged, PredictionMade, RequestAssigned, ShadowPrediction, Ticked
from evenhand.finite import LARGEST
from evenhand.processors.base import Output, Processor, Record, Row
from evenhand.processors.given import GIVEN, is_given, response_time_of
from evenhand.processors.in_band import InBand, passed_on
from evenhand.topics import ASSIGNMENTS, PREDICTIONS, REQUESTS

SOURCE = "/evenhand/inference"
LONGEST_NAME = 256  # of an event's Text
LARGEST_EXPONENT = 700.0  # what exp takes
Clock = Callable[[], float]  # milliseconds
ResponseTimes = Callable[[str], float | None]  # of a request, from a recording


class Answer(NamedTuple):
    """A version's answer to rows: for each row a list of its steps."""

    values: list[list[float]]
    confidence: list[list[float]]
    intervals: list[list[tuple[float, float]]] | None = None


class Predictor(Protocol):
    """A loaded model version. Features are named in order; a step is `horizon_s` seconds.

    With `aligned`, targets lie on multiples of `horizon_s`, so that all requests of an hour share one outcome.
    """

    @property
    def features(self) -> tuple[str, ...]: ...
    @property
    def horizon_s(self) -> int: ...
    @property
    def aligned(self) -> bool: ...
    @property
    def reference_price(self) -> str | None: ...
    def predict(self, rows: NDArray[np.float64], horizon: int) -> Answer: ...


class Predictors(Protocol):
    """Where versions come from. `get` raises ModelUnavailable."""

    def get(self, model: str, version: str) -> Predictor: ...


class Answered(msgspec.Struct, frozen=True, gc=False):
    """One row's part of an answer, or why there is none."""

    values: tuple[float, ...] = ()
    confidence: Sequence[float] = ()
    intervals: Sequence[tuple[float, float]] | None = None
    error: str | None = None


class Inference(Processor):
    """Serves one partition of assignments, in batches."""

    name = "inference"
    reads = (ASSIGNMENTS,)

    def __init__(
        self,
        partition: int,
        partitions: int,
        predictors: Predictors,
        clock: Clock,
        recorded: ResponseTimes | None = None,
    ) -> None:
        super().__init__(partition, partitions)
        self.predictors, self.clock, self.recorded = predictors, clock, recorded
        self.in_band = InBand((f"{REQUESTS}/{p}" for p in range(partitions)), self.name)
        self._decoder = decoder(RequestAssigned, Ticked, ControlChanged)
        self._asked: dict[tuple[str, str], Predictor] = {}  # of this batch

    def load(self, rows: Iterable[tuple[bytes, bytes]]) -> None:
        self.in_band.load(rows)

    def rows(self) -> Iterator[tuple[bytes, bytes]]:
        yield from self.in_band.rows()

    def apply(self, topic: str, records: Sequence[Record]) -> Output:
        decode = self._decoder.decode
        events = [decode(record.value or b"") for record in records]
        answers = iter(self._answer([event for event in events if type(event) is RequestAssigned]))
        now, output = self.clock(), Output()
        rows = output.sends.setdefault((PREDICTIONS, self.partition), [])
        for record, event in zip(records, events, strict=True):
            if type(event) is RequestAssigned:
                rows.append(self._made(event, record, now, next(answers)))
            elif type(event) is Ticked:
                if self.in_band.hear(event) and (tick := self.in_band.tick()):
                    rows.append(tick)
            elif type(event) is ControlChanged:
                rows.append(passed_on(event, record, SOURCE))
        if not rows:
            output.sends.clear()
        output.rows.update(self.in_band.changed_rows())
        return output

    def _version(self, model: str, version: str) -> Predictor:
        return GIVEN if is_given(model) else self.predictors.get(model, version)

    def _answer(self, requests: Sequence[RequestAssigned]) -> list[dict[str, Answered]]:
        """What the asked versions say to each request."""
        asked: dict[tuple[str, str, int], list[int]] = defaultdict(list)
        for number, assigned in enumerate(requests):
            model, horizon = assigned.request.model, assigned.request.horizon
            asked[model, assigned.version, horizon].append(number)
            for arm in assigned.shadows:
                asked[model, arm.version, horizon].append(number)
        answers: list[dict[str, Answered]] = [{} for _ in requests]
        self._asked.clear()
        for (model, version, horizon), numbers in asked.items():
            try:
                predictor = self._asked[model, version] = self._version(model, version)
            except ModelUnavailable as error:
                for number in numbers:
                    answers[number][version] = Answered(error=str(error))
                continue
            good, matrix = [], []
            for number in numbers:
                try:
                    matrix.append(feature_row(requests[number].request.features, predictor.features))
                    good.append(number)
                except ValueError as error:
                    answers[number][version] = Answered(error=str(error))
            if good:
                answered = ask(predictor, np.array(matrix, np.float64), horizon)
                for number, one in zip(good, answered, strict=True):
                    answers[number][version] = one
        return answers

    def _made(self, assigned: RequestAssigned, record: Record, now: float, answers: dict[str, Answered]) -> Row:
        request, answered = assigned.request, answers[assigned.version]
        shadows = [(arm.variant, arm.version, answers[arm.version]) for arm in assigned.shadows]
        clusters: tuple[str, ...] = ()
        times: tuple[int, ...] = ()
        prices = None
        if answered.error is None:
            predictor = self._asked[request.model, assigned.version]
            times = target_times(request.time, request.horizon, predictor)
            clusters = tuple([cluster_of(request.key, time) for time in times])
            prices = prices_of(request.features, predictor, answered.values)
        event = PredictionMade(
            id=stable_id("made", assigned.id),
            time=request.time,
            key=request.key,
            request_id=request.id,
            model=request.model,
            unit=assigned.unit,
            variant=assigned.variant,
            version=assigned.version,
            experiment=assigned.experiment,
            clusters=clusters,
            target_times=times,
            values=answered.values,
            confidence=tuple(answered.confidence),
            prices=prices,
            intervals=None if answered.intervals is None else tuple(answered.intervals),
            shadows=tuple(
                [
                    ShadowPrediction(variant=variant, version=version, values=one.values, error=one.error)
                    for variant, version, one in shadows
                ]
            ),
            error=answered.error,
            control=assigned.control,
            wait_s=assigned.wait_s,
            grace_s=assigned.grace_s,
        )
        took = None if self.recorded is None else self.recorded(request.id)
        if took is None and is_given(request.model):
            took = response_time_of(request.features)
        if took is None:
            took = max(0.0, now - integer_header(record, "received_at", int(now)))
        headers = [
            ("seen_at", header(record, "seen_at") or b"-1"),
            ("response_time_ms", b"%.3f" % took),
            *cloud_headers("PredictionMade", event.id, SOURCE, event.time),
        ]
        return Row(request.key.encode(), encode(event), headers)


def feature_row(features: list[float] | dict[str, float], names: Sequence[str]) -> list[float]:
    """A request's features in a version's order; ValueError says which are missing.

    >>> feature_row({"b": 2.0, "a": 1.0, "other": 9.0}, ("a", "b"))
    [1.0, 2.0]
    """
    if isinstance(features, dict):
        try:
            return [features[name] for name in names]
        except KeyError:
            missing = [name for name in names if name not in features]
            raise ValueError(f"features {missing} are missing: the version takes {list(names)}") from None
    if len(features) != len(names):
        raise ValueError(f"{len(features)} features were sent, the version takes {len(names)}: {list(names)}")
    return features


def ask(predictor: Predictor, rows: NDArray[np.float64], horizon: int) -> list[Answered]:
    """A version's answers to rows; where it fails on all together, each row is asked by itself."""
    try:
        answer = predictor.predict(rows, horizon)
        intervals: Sequence[Any] = answer.intervals or [None] * len(rows)
        if not len(answer.values) == len(answer.confidence) == len(intervals) == len(rows):
            raise ValueError(f"{len(rows)} rows were asked, and {len(answer.values)} are answered")
    except Exception as error:  # noqa: BLE001 - whatever a model raises is an answer that its user must see
        if len(rows) == 1:
            return [Answered(error=f"{type(error).__name__}: {error}"[:1000])]
        return [one for i in range(len(rows)) for one in ask(predictor, rows[i : i + 1], horizon)]
    return [_answered(horizon, *each) for each in zip(answer.values, answer.confidence, intervals, strict=True)]


def _answered(
    horizon: int, values: Sequence[float], confidence: Sequence[float], intervals: Sequence[tuple[float, float]] | None
) -> Answered:
    """What JSON cannot carry, or sums cannot, is no answer; an interval without an end is none."""
    if len(values) != horizon:
        return Answered(error=f"the version answered {len(values)} steps, {horizon} were asked")
    for value in values:
        if not -LARGEST <= value <= LARGEST:
            return Answered(error=f"the version answered {values}, not finite numbers of at most {LARGEST:g}"[:1000])
    for value in confidence:
        if not -LARGEST <= value <= LARGEST:
            return Answered(error=f"the version answered a confidence of {confidence}, which are no numbers"[:1000])
    for low, high in intervals or ():
        if not (-LARGEST <= low <= LARGEST and -LARGEST <= high <= LARGEST):
            return Answered(tuple(values), confidence)
    return Answered(tuple(values), confidence, intervals)


def target_times(time_ms: int, horizon: int, predictor: Predictor) -> tuple[int, ...]:
    """For when each step of an answer speaks."""
    step = predictor.horizon_s * 1000
    start = time_ms - time_ms % step if predictor.aligned else time_ms
    return (start + step,) if horizon == 1 else tuple([start + step * i for i in range(1, horizon + 1)])


def cluster_of(key: str, time_ms: int) -> str:
    """What shares an outcome: of one key, for one time. A name has at most 256 characters, and so has a key.

    >>> cluster_of("BTC-USD", 1_600_000_000_000)
    'BTC-USD@1600000000000'
    """
    name = f"{key}@{time_ms}"
    return name if len(name) <= LONGEST_NAME else f"{stable_id(key)}@{time_ms}"


def prices_of(
    features: list[float] | dict[str, float], predictor: Predictor, values: Sequence[float]
) -> tuple[float, ...] | None:
    """Log returns as prices, where the request brings the reference price of its model.

    Each step's value is its own return, so a price is the reference grown by all returns up to its step.
    """
    if predictor.reference_price is None or not isinstance(features, dict):
        return None
    reference = features.get(predictor.reference_price)
    if reference is None or reference <= 0:
        return None
    grown = list(accumulate(values))
    if max(grown) > LARGEST_EXPONENT:
        return None
    prices = tuple([reference * math.exp(value) for value in grown])
    return prices if all(map(math.isfinite, prices)) else None
