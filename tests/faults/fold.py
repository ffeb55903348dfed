"""What must have come out, from what users wrote, with numpy: written apart from the code under test, and unlike it.

It goes over the log once and knows everything at the end: no state, no order of arrival, no batches. Lateness and
epochs are as the design says. A prediction's values are computed here from the models' own weights.
"""

import hashlib
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from tests.faults.plain import Seen, Users, variant_of

Floats = NDArray[np.float64]


class Version(Protocol):
    """What a version answers, computed apart from the models' own code."""

    @property
    def horizon_s(self) -> int: ...
    def values(self, features: Any, horizon: int) -> list[float] | None: ...


class Line(NamedTuple):
    """A version: a weight for each step and feature, an intercept for each step, and whether it fails on some rows."""

    features: tuple[str, ...]
    weights: Floats
    intercepts: Floats
    horizon_s: int
    fails: bool = False

    def values(self, features: Any, horizon: int) -> list[float] | None:
        """Its answer; None where it fails."""
        try:
            row = np.array(
                [features[name] for name in self.features] if isinstance(features, dict) else features, float
            )
        except KeyError:
            return None
        if len(row) != len(self.features) or horizon > len(self.intercepts):
            return None
        if self.fails and int.from_bytes(hashlib.blake2b(row.tobytes(), digest_size=8).digest()) % 10 == 0:
            return None
        answer: list[float] = (self.weights[:horizon] @ row + self.intercepts[:horizon]).tolist()
        return answer


class Moments(NamedTuple):
    """Count, mean, sum of squared deviations."""

    n: int
    mean: float
    m2: float

    @classmethod
    def of(cls, values: list[float]) -> "Moments":
        """Of all values at once."""
        if not values:
            return cls(0, 0.0, 0.0)
        array = np.array(values)
        return cls(len(array), float(array.mean()), float(((array - array.mean()) ** 2).sum()))


@dataclass
class Arm:
    """What the evidence must say of one variant: counts of requests, and a value for each (epoch, cluster)."""

    served: int = 0
    predictions: int = 0
    errors: int = 0
    matured: int = 0
    losses: dict[tuple[int, str], list[float]] = field(default_factory=lambda: defaultdict(list))
    paired: dict[tuple[int, str], list[float]] = field(default_factory=lambda: defaultdict(list))
    first: dict[str, int] = field(default_factory=dict)  # by cluster, of all arms

    def moments(self) -> tuple[Moments, Moments]:
        """Of the losses, and of the differences to the champion, a cluster counting once: in its first epoch."""
        return tuple(
            Moments.of([float(np.mean(v)) for (epoch, of), v in held.items() if epoch == self.first[of]])
            for held in (self.losses, self.paired)
        )  # type: ignore[return-value]


class Prediction(NamedTuple):
    """What a request must have led to: the variant that answers, and every variant's values."""

    request: Seen
    variant: str
    answers: dict[str, list[float] | None]
    times: list[int]
    wait_ms: int
    grace_ms: int


class Pair(NamedTuple):
    """A step of a prediction with the outcome that counts for it."""

    step: int
    outcome: Seen
    delay_ms: int
    late: bool


class Expected:
    """The fold of a log."""

    def __init__(self, users: Users, versions: Mapping[tuple[str, str], Version]) -> None:
        self.users = users
        self.predictions: dict[str, Prediction] = {}
        self.errors: set[str] = set()
        self.pairs: dict[tuple[str, int], Pair] = {}  # by (request, step)
        self.arms: dict[str, dict[str, Arm]] = {}  # by experiment and variant
        self.epochs: dict[str, range] = {}  # that must have been reported, by experiment
        self.never = self.expired = 0
        self._versions = versions
        self._answers: dict[tuple[str, int], list[Seen]] = defaultdict(list)
        self._truths: dict[tuple[str, int], list[Seen]] = defaultdict(list)
        for outcome in users.outcomes.values():
            event = outcome.event
            if "request_id" in event:
                self._answers[event["request_id"], event.get("step", 1)].append(outcome)
            else:
                self._truths[event["key"], event["target_time"]].append(outcome)
        self._open_experiments()
        for request_id, request in users.requests.items():
            self._predict(request_id, request)

    def _open_experiments(self) -> None:
        for control in self.users.controls.values():
            experiment = control["served"].get("experiment")
            if experiment is not None:
                epoch_ms, grace_ms = _epoch_ms(experiment), _grace_ms(experiment)
                first = -(-control["time"] // epoch_ms)
                last = (self.users.watermark - grace_ms) // epoch_ms - 1
                self.epochs[experiment["name"]] = range(first, last + 1)
                first = dict[str, int]()
                self.arms[experiment["name"]] = {
                    variant["name"]: Arm(first=first) for variant in experiment["variants"]
                }

    def _predict(self, request_id: str, request: Seen) -> None:
        event, control = request.event, request.control
        assert control is not None
        served, model, horizon = control["served"], event["model"], event.get("horizon", 1)
        experiment = served.get("experiment")
        variants = {"champion": served["champion"]}
        if experiment is not None:
            variants = {variant["name"]: variant["version"] for variant in experiment["variants"]}
        chosen = "champion" if experiment is None else variant_of(experiment, event.get("unit") or event["id"])
        lines = {name: self._versions.get((model, version)) for name, version in variants.items()}
        answers = {
            name: None if line is None else line.values(event["features"], horizon) for name, line in lines.items()
        }
        step_ms = 1000 * next(line.horizon_s for line in lines.values() if line)
        start = event["time"] - event["time"] % step_ms
        prediction = Prediction(
            request, chosen, answers, [start + step_ms * (i + 1) for i in range(horizon)],
            served.get("wait_s", 86_400) * 1000, _grace_ms(experiment or {}),
        )  # fmt: skip
        self.predictions[request_id] = prediction
        if experiment is not None and request.delay_ms <= prediction.grace_ms:
            self._expose(experiment, event["time"] // _epoch_ms(experiment), prediction)
        if answers[chosen] is None:
            self.errors.add(request_id)
        elif request.seen_at > event["time"] + prediction.wait_ms:
            self.expired += 1
        else:
            self._mature(request_id, prediction, experiment)

    def _expose(self, experiment: dict[str, Any], epoch: int, prediction: Prediction) -> None:
        if epoch not in self.epochs[experiment["name"]]:
            return
        arms = self.arms[experiment["name"]]
        arms[prediction.variant].served += 1
        for name, values in prediction.answers.items():
            arms[name].predictions += 1
            arms[name].errors += values is None

    def _mature(self, request_id: str, prediction: Prediction, experiment: dict[str, Any] | None) -> None:
        event = prediction.request.event
        found = 0
        for i, target in enumerate(prediction.times):
            rivals = self._answers[request_id, i + 1] + self._truths[event["key"], target]
            best = min(self._valid(prediction, rivals), default=None, key=lambda pair: pair[:3])
            if best is None:
                continue
            late, _, _, outcome = best
            delay = max(prediction.request.delay_ms, outcome.delay_ms)
            self.pairs[request_id, i + 1] = Pair(i + 1, outcome, delay, late)
            found += 1
            if experiment is not None and not late:
                self._fold(experiment, prediction, i, outcome)
        if found < len(prediction.times) and self.users.watermark > event["time"] + prediction.wait_ms:
            self.never += 1

    @staticmethod
    def _valid(prediction: Prediction, outcomes: list[Seen]) -> Iterator[tuple[bool, int, str, Seen]]:
        request, wait_ms = prediction.request, prediction.wait_ms
        for outcome in outcomes:
            in_time = outcome.seen_at <= request.event["time"] + wait_ms
            if in_time and request.seen_at <= outcome.event["time"] + wait_ms:
                late = max(request.delay_ms, outcome.delay_ms) > prediction.grace_ms
                yield late, outcome.event["time"], outcome.event["id"], outcome

    def _fold(self, experiment: dict[str, Any], prediction: Prediction, i: int, outcome: Seen) -> None:
        event = prediction.request.event
        epoch = max(event["time"], outcome.event["time"]) // _epoch_ms(experiment)
        if epoch not in self.epochs[experiment["name"]]:
            return
        of = epoch, f"{event['key']}@{prediction.times[i]}"
        first = next(iter(self.arms[experiment["name"]].values())).first
        first[of[1]] = min(epoch, first.get(of[1], epoch))
        champion = prediction.answers[experiment["champion"]]
        for name, values in prediction.answers.items():
            if values is None:
                continue
            arm, loss = self.arms[experiment["name"]][name], (values[i] - outcome.event["value"]) ** 2
            arm.matured += 1
            arm.losses[of].append(loss)
            if name != experiment["champion"] and champion is not None:
                arm.paired[of].append(loss - (champion[i] - outcome.event["value"]) ** 2)

    @property
    def matured(self) -> int:
        """Predictions of which every step has its outcome."""
        steps: dict[str, int] = defaultdict(int)
        for request_id, _ in self.pairs:
            steps[request_id] += 1
        return sum(steps[request_id] == len(self.predictions[request_id].times) for request_id in steps)


def _epoch_ms(experiment: Mapping[str, Any]) -> int:
    return int(experiment.get("epoch_s", 60)) * 1000


def _grace_ms(experiment: Mapping[str, Any]) -> int:
    return int(experiment.get("grace_s", 60)) * 1000
