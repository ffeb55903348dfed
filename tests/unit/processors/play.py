"""A small world to play the loop in: two versions, one experiment, users who write to any partition."""

import random
from collections.abc import Iterable
from typing import ClassVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from evenhand.codec import encode
from evenhand.errors import ModelUnavailable
from evenhand.events import (
    ControlChanged,
    DecisionMade,
    Event,
    OutcomeObserved,
    PredictionRequested,
    Served,
    Ticked,
)
from evenhand.experiments.experiment import Experiment, Rule, Variant
from evenhand.offline import Log, Make, Runner, loop
from evenhand.processors.base import Row
from evenhand.processors.control import control
from evenhand.processors.inference import Answer, Predictors
from evenhand.topics import DECISIONS, METRICS, OUTCOMES, REQUESTS

START = 1_600_000_000_000 - 1_600_000_000_000 % 60_000
PARTITIONS = 3


class Line:
    """Predicts slope * x; with `fails`, raises on rows below it."""

    features, horizon_s, aligned, reference_price = ("x",), 5, True, None

    def __init__(self, slope: float, fails: float = -np.inf) -> None:
        self.slope, self.fails = slope, fails

    def predict(self, rows: NDArray[np.float64], horizon: int) -> Answer:
        if (rows < self.fails).any():
            raise ArithmeticError("too small for me")
        values = [[self.slope * float(x)] * horizon for x in rows[:, 0]]
        return Answer(values, [[0.5] * horizon for _ in values])


class Lines:
    """Version "1.0.0" predicts half of what comes, "1.1.0" all of it, "1.2.0" as well but fails on a tenth."""

    versions: ClassVar = {"1.0.0": Line(0.5), "1.1.0": Line(1.0), "1.2.0": Line(1.0, fails=-1.28)}

    def get(self, model: str, version: str) -> Line:
        if version not in self.versions:
            raise ModelUnavailable(f"{model} has no version {version}")
        return self.versions[version]


SMALL = {
    "minimum_sample_size": 150, "minimum_exposures": 60, "minimum_detectable_effect": 0.2, "missing_deviations": 0.2,
}  # fmt: skip


def trial(challenger: str = "1.1.0", **rule: float) -> Experiment:
    """An experiment with ten-second epochs."""
    return Experiment(
        name="trial", model="line", champion="old",
        variants=(Variant(name="old", version="1.0.0", weight=60), Variant(name="new", version=challenger, weight=40)),
        epoch_s=10, grace_s=5,
        rule=msgspec.convert({**SMALL, **rule}, Rule),
    )  # fmt: skip


def served(experiment: Experiment | None) -> ControlChanged:
    """The first control, from the start on."""
    return control(Served(champion="1.0.0", wait_s=30, experiment=experiment), "line", START, "first")


def story(seed: int, requests: int = 300, seconds: int = 200) -> list[tuple[float, str, Event]]:
    """(arrival in ms, topic, event): some late, some twice, some without an outcome, some outcomes first."""
    r, told = random.Random(seed), list[tuple[float, str, Event]]()
    for i in range(requests):
        time = START + r.randrange(seconds * 1000)
        x = r.gauss(0, 1)
        request = PredictionRequested(id=f"r{i}", time=time, key=f"k{i % 40}", model="line", features=[x])
        copies = range(1 + (r.random() < 0.05))
        told.extend((time + r.expovariate(1 / 1500), REQUESTS, request) for _ in copies)
        if r.random() < 0.9:
            when = time + r.expovariate(1 / 6000) - 1000 * (r.random() < 0.2)
            outcome = OutcomeObserved(
                id=f"o{i}", time=int(when), key=f"k{i % 40}", value=x + r.gauss(0, 0.1), request_id=f"r{i}"
            )
            copies = range(1 + (r.random() < 0.05))
            told.extend((when + r.expovariate(1 / 1500), OUTCOMES, outcome) for _ in copies)
            if r.random() < 0.03:
                other = msgspec.structs.replace(outcome, id=f"c{i}", time=int(when) + r.randint(-2000, 2000), value=3.0)
                told.append((when + r.expovariate(1 / 1500), OUTCOMES, other))
    return told


def write(told: Iterable[tuple[float, str, Event]], first: ControlChanged, seed: int, until_s: int = 300) -> Log:
    """The users' log: each event to any partition, in order of arrival, ticks once a second."""
    r, log = random.Random(seed), Log(PARTITIONS)
    logs: dict[tuple[str, int], list[tuple[float, Event]]] = {
        (topic, p): [] for topic in (REQUESTS, OUTCOMES, METRICS) for p in range(PARTITIONS)
    }
    for arrival, topic, event in told:
        logs[topic, r.randrange(PARTITIONS)].append((arrival, event))
    for (topic, partition), events in logs.items():
        events += [
            (START + s * 1000 + r.uniform(0, 300), Ticked(id=f"t{s}", time=START + s * 1000, key="_clock"))
            for s in range(until_s)
        ]
        if topic == REQUESTS:
            events.append((START - 1, first))
        ordered = sorted(events, key=lambda pair: pair[0])
        log.append(topic, partition, [Row(None, encode(event), []) for _, event in ordered], START)
    return log


def decisions(log: Log) -> list[bytes]:
    """The decision log: the first of each id, in order of epoch and id."""
    found: dict[str, tuple[tuple[int, int], bytes]] = {}
    for value in log.values(DECISIONS):
        event = msgspec.json.decode(value, type=DecisionMade)
        found.setdefault(event.id, (event.epochs, value))
    return [value for _, (_, value) in sorted(found.items(), key=lambda item: (item[1][0], item[0]))]


def judged(predictors: Predictors) -> list[Make]:
    """The processors of the loop from a request to a decision, without those that watch what is served."""
    return loop(predictors, controls=False)[:6]


def play(log: Log, *, seed: int | None = None, crash: float = 0.0, batch: int = 50, controls: bool = False) -> Runner:
    """Run the loop over a log, in a random order if a seed is given."""
    runner = Runner(log, loop(Lines(), controls=controls))
    runner.run(None if seed is None else random.Random(seed), crash, batch)
    return runner
