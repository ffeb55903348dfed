"""The longest names and times that events may have go through the whole loop, or are refused: none ends a worker."""

import msgspec
import pytest

from evenhand.codec import encode
from evenhand.events import (
    CommandGiven,
    DeadLettered,
    MetricObserved,
    OutcomeObserved,
    PredictionRequested,
    PredictionScored,
    Served,
    Ticked,
)
from evenhand.offline import Log, Runner, loop
from evenhand.processors.base import Row
from evenhand.topics import COMMANDS, DEAD_LETTERS, METRICS, OUTCOMES, REPORTS, REQUESTS, SCORED
from tests.unit.processors.play import START, Lines, trial


def played(served: Served, *, model: str = "line", key: str = "k", name: str = "r") -> Log:
    """Two minutes of one user, who asks every five seconds and says what came and what it was worth."""
    log = Log(1)
    command = CommandGiven(
        id="first", time=START, key=model, model=model, command="apply_configuration", by="me", served=served
    )
    log.append(COMMANDS, 0, [Row(None, encode(command), [])], START)
    runner = Runner(log, loop(Lines()))
    runner.run()
    for second in range(0, 200, 5):
        time = START + second * 1000
        about = f"{second:06}{name}"[: len(name)] if len(name) > 6 else f"{name}{second}"
        told = {
            REQUESTS: PredictionRequested(id=about, time=time, key=key, unit=name, model=model, features=[1.0]),
            OUTCOMES: OutcomeObserved(id=about, time=time, key=key, value=1.0, request_id=about),
            METRICS: MetricObserved(id=about, time=time, key=key, name=name, value=1.0, request_id=about),
        }
        for topic, event in told.items():
            tick = Ticked(id="t", time=time, key="_clock")
            log.append(topic, 0, [Row(None, encode(each), []) for each in (tick, event)], START)
        runner.run()
    return log


def scored(log: Log) -> list[PredictionScored]:
    found = [value for value in log.values(SCORED) if b'"PredictionScored"' in value]
    return [msgspec.json.decode(value, type=PredictionScored) for value in found]


@pytest.mark.parametrize("length", [242, 243, 256])
def test_a_key_of_any_length_is_joined_and_names_its_clusters(length: int) -> None:
    key = "é" * length
    found = scored(played(Served(champion="1.0.0", wait_s=30, experiment=trial()), key=key))
    assert len(found) == 40
    assert len({each.cluster for each in found}) == 40
    assert all(each.key == key for each in found)


def test_units_requests_and_metrics_have_the_longest_names() -> None:
    log = played(Served(champion="1.0.0", wait_s=30, experiment=trial()), name="x" * 256)
    assert len(scored(log)) == 40
    assert log.values(DEAD_LETTERS) == []


def test_a_model_has_a_name_to_which_the_loop_can_add_or_is_refused() -> None:
    log = played(Served(champion="1.0.0", wait_s=30), model="m" * 200)
    assert log.values(REPORTS)
    assert log.values(DEAD_LETTERS) == []
    refused = reasons(played(Served(champion="1.0.0", wait_s=30), model="m" * 201))
    assert "has 201 characters: at most 200" in refused[0]
    assert all("is served here" in each for each in refused[1:])


@pytest.mark.parametrize("name", ["wait_s", "epoch_s", "grace_s"])
def test_a_time_that_cannot_be_kept_is_refused(name: str) -> None:
    served = Served(champion="1.0.0", wait_s=30, experiment=trial())
    changed = {name: 10**16}
    served = (
        msgspec.structs.replace(served, **changed)
        if name == "wait_s"
        else msgspec.structs.replace(served, experiment=msgspec.structs.replace(trial(), **changed))
    )
    refused = reasons(played(served))
    assert f"{name} is 10000000000000000, longer than ten years" in refused[0]


def reasons(log: Log) -> list[str]:
    letters = [msgspec.json.decode(value, type=DeadLettered) for value in log.values(DEAD_LETTERS)]
    return [letter.reason for letter in sorted(letters, key=lambda letter: letter.topic)]
