"""Two hundred changes of the champion among ten thousand requests, in memory, with crashes: whole, right answers.

The same with workers and a broker, under load, is tests/integration/test_champion_changes.py.
"""

import random
from pathlib import Path

import msgspec
import numpy as np
import pytest

from evenhand import topics as t
from evenhand.codec import encode
from evenhand.events import ControlChanged, PredictionMade, PredictionRequested, Served
from evenhand.offline import Log, Runner
from evenhand.processors.assignment import Assignment
from evenhand.processors.base import Processor, Row
from evenhand.processors.control import control
from evenhand.processors.inference import Inference
from models.card import Description
from models.ensemble import Ensemble
from models.linear import Ridge
from models.signature import Signature
from models.store import ModelStore

PARTITIONS, REQUESTS, CHANGES, STEPS = 2, 10_000, 200, 3
VERSIONS = ("1.0.0", "1.1.0", "1.2.0")
START = 1_700_000_000_000
SIGNATURE = Signature(features=("a", "b"), target="y", unit="1", horizon_s=60, max_horizon=STEPS)


@pytest.fixture
def store(tmp_path: Path) -> ModelStore:
    made = ModelStore(tmp_path)
    for place, version in enumerate(VERSIONS):
        rows = np.random.default_rng(place).normal(size=(600, 2))
        targets = rows[:, :1] * [1.0, 0.5, 0.25] * (place + 1)
        model = Ensemble(SIGNATURE) if place == 2 else Ridge(SIGNATURE)
        made.save("m", version, model.fit(rows, targets), Description(summary=version))
    return made


def told() -> tuple[Log, dict[str, str]]:
    """A log of requests with a change of the champion after every fiftieth, and the version that each is given to."""
    log, numbers, champion = Log(PARTITIONS), np.random.default_rng(9), ""
    serving: dict[str, str] = {}
    for number in range(REQUESTS):
        if number % (REQUESTS // CHANGES) == 0:
            champion = VERSIONS[number // (REQUESTS // CHANGES) % len(VERSIONS)]
            changed: ControlChanged = control(Served(champion=champion), "m", START + number, f"change-{number}")
            for partition in range(PARTITIONS):
                log.append(t.REQUESTS, partition, [Row(b"m", encode(changed), [])])
        features = numbers.normal(size=2).tolist()
        key = "k0" if number % 2 else "k1"
        request = PredictionRequested(
            id=f"r{number}", time=START + number, key=key, model="m", features=features, horizon=STEPS
        )  # fmt: skip
        serving[request.id] = champion
        log.append(t.REQUESTS, number % PARTITIONS, [Row(key.encode(), encode(request), [])])
    return log, serving


def test_each_answer_is_wholly_of_the_version_that_held_at_its_place(store: ModelStore, tmp_path: Path) -> None:
    log, serving = told()

    def inference(partition: int, partitions: int) -> Processor:
        return Inference(partition, partitions, ModelStore(tmp_path), lambda: 0.0)  # each loads its own

    Runner(log, [Assignment, inference]).run(random.Random(3), crash=0.02, batch=300)
    answers: dict[str, PredictionMade] = {}
    rows = {}
    for raw in (value for topic in (t.PREDICTIONS, t.REQUESTS) for value in log.values(topic)):
        event = msgspec.json.decode(raw)
        if event["type"] == "PredictionMade":
            made = msgspec.json.decode(raw, type=PredictionMade)
            held = answers.setdefault(made.request_id, made)
            assert held == made  # a repeat is the same to the byte
        elif event["type"] == "PredictionRequested":
            rows[event["id"]] = event["features"]
    assert {name: one.version for name, one in answers.items()} == serving
    assert {one.error for one in answers.values()} == {None}
    for version in VERSIONS:
        names = [name for name, one in serving.items() if one == version]
        expected = store.load("m", version).predict(np.array([rows[name] for name in names]), STEPS)
        assert [list(answers[name].values) for name in names] == expected.values
        assert [list(answers[name].confidence) for name in names] == expected.confidence
