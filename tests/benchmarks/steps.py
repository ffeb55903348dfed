"""The steps of the lifecycle for a framework that works event by event: assign, predict, join, sum.

They are as lean as they can be made: evenhand's own events and codec (msgspec), its assignment, the same two models.
What a baseline costs beyond them is the framework's.
"""

import math
from typing import Protocol

import msgspec
import numpy as np
from numpy.typing import NDArray

from evenhand.codec import encode, stable_id
from evenhand.events import (
    Arm,
    OutcomeObserved,
    PredictionMade,
    PredictionRequested,
    PredictionScored,
    RequestAssigned,
    ShadowPrediction,
    ShadowValue,
)
from evenhand.experiments.assignment import Ring
from evenhand.experiments.experiment import Experiment
from evenhand.processors.inference import Answer

MODEL, CHAMPION, CHALLENGER = "bench-1h", "ridge", "trees"
ARMS = {CHAMPION: "1.0.0", CHALLENGER: "1.1.0"}
STEP_MS = 3_600_000
FEATURES = 8
PAIRED = f"{CHALLENGER}-{CHAMPION}"


class Arms(Protocol):
    """The two models on trial."""

    def ask(self, variant: str, rows: NDArray[np.float64]) -> Answer:
        """A variant's answer to rows of features, one step ahead."""


def assigned(experiment: Experiment, ring: Ring, request: PredictionRequested) -> RequestAssigned:
    """A request, and which version answers it by the salted hash of its unit."""
    unit = request.unit or request.id
    chosen = ring.assign(unit)
    return RequestAssigned(
        id=stable_id("assigned", request.id, "bench"),
        time=request.time,
        key=request.key,
        request=request,
        unit=unit,
        variant=chosen.name,
        version=chosen.version,
        experiment=experiment.name,
        shadows=tuple(
            [Arm(variant=one.name, version=one.version) for one in experiment.variants if one.name != chosen.name]
        ),
        control="bench",
    )


def predicted(arms: Arms, events: list[RequestAssigned]) -> list[PredictionMade]:
    """The answers of the assigned version, with the other one's in shadow."""
    rows = np.array([event.request.features for event in events], np.float64)
    answers = {name: arms.ask(name, rows) for name in ARMS}
    made = []
    for i, event in enumerate(events):
        answer = answers[event.variant]
        target = event.time + STEP_MS
        made.append(
            PredictionMade(
                id=stable_id("made", event.id),
                time=event.time,
                key=event.key,
                request_id=event.request.id,
                model=MODEL,
                unit=event.unit,
                variant=event.variant,
                version=event.version,
                experiment=event.experiment,
                clusters=(f"{event.key}@{target}",),
                target_times=(target,),
                values=tuple(answer.values[i]),
                confidence=tuple(answer.confidence[i]),
                intervals=None if answer.intervals is None else tuple(answer.intervals[i]),
                shadows=tuple(
                    [
                        ShadowPrediction(
                            variant=arm.variant, version=arm.version, values=tuple(answers[arm.variant].values[i])
                        )
                        for arm in event.shadows
                    ]
                ),
            )
        )
    return made


class Held(msgspec.Struct, array_like=True):
    """The state row of one prediction: what is known of it so far."""

    prediction: PredictionMade | None = None
    outcome: OutcomeObserved | None = None
    scored: bool = False


held = msgspec.json.Decoder(Held)


def joined(row: Held | None, event: PredictionMade | OutcomeObserved) -> tuple[Held, PredictionScored | None]:
    """The row after an event, and the pair if it is complete now. A repeat changes nothing."""
    row = row or Held()
    if row.scored:
        return row, None
    if isinstance(event, PredictionMade):
        row.prediction = event
    else:
        row.outcome = event
    if row.prediction is None or row.outcome is None:
        return row, None
    pair = scored(row.prediction, row.outcome)
    return Held(scored=True), pair


def scored(prediction: PredictionMade, outcome: OutcomeObserved) -> PredictionScored:
    """A prediction with its outcome."""
    return PredictionScored(
        id=stable_id("scored", prediction.request_id, 1),
        time=max(prediction.time, outcome.time),
        key=prediction.key,
        request_id=prediction.request_id,
        model=prediction.model,
        variant=prediction.variant,
        version=prediction.version,
        cluster=prediction.clusters[0],
        step=1,
        value=prediction.values[0],
        outcome=outcome.value,
        outcome_id=outcome.id,
        delay_ms=0,
        experiment=prediction.experiment,
        shadows=tuple(
            [ShadowValue(variant=s.variant, version=s.version, value=s.values[0]) for s in prediction.shadows]
        ),
    )


class Sum(msgspec.Struct, array_like=True):
    """Count, mean, and sum of squared deviations of one metric (Welford; merges by Chan)."""

    n: int = 0
    mean: float = 0.0
    m2: float = 0.0

    def add(self, value: float) -> None:
        """Take one value."""
        self.n += 1
        difference = value - self.mean
        self.mean += difference / self.n
        self.m2 += difference * (value - self.mean)

    def merge(self, other: "Sum") -> None:
        """Take another sum."""
        if other.n:
            n, difference = self.n + other.n, other.mean - self.mean
            self.m2 += other.m2 + difference * difference * self.n * other.n / n
            self.mean += difference * other.n / n
            self.n = n

    def close_to(self, n: int, mean: float, m2: float, tolerance: float = 1e-9) -> bool:
        """Whether it is that, to the tolerance."""
        near = math.isclose(self.mean, mean, rel_tol=tolerance, abs_tol=1e-12)
        return self.n == n and near and math.isclose(self.m2, m2, rel_tol=tolerance)


class Evidence(msgspec.Struct):
    """The sums that a baseline keeps: squared error of each variant, and the paired difference."""

    sums: dict[str, Sum] = {}

    def add(self, pair: PredictionScored) -> None:
        """Take a scored prediction."""
        losses = {pair.variant: (pair.value - pair.outcome) ** 2}
        for shadow in pair.shadows:
            if shadow.value is not None:
                losses[shadow.variant] = (shadow.value - pair.outcome) ** 2
        for name, loss in losses.items():
            self.sums.setdefault(name, Sum()).add(loss)
        if len(losses) == len(ARMS):
            self.sums.setdefault(PAIRED, Sum()).add(losses[CHALLENGER] - losses[CHAMPION])

    def encode(self) -> bytes:
        """As JSON."""
        return encode(self)


evidence = msgspec.json.Decoder(Evidence)
