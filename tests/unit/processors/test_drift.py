"""Drift and reports in the loop: the same bytes whatever the interleaving, and what they say is so."""

import random
from collections.abc import Mapping
from typing import Any

import msgspec
import numpy as np
import pytest

from evenhand.codec import encode
from evenhand.drift.lowest import merged
from evenhand.drift.signals import signal_of
from evenhand.events import (
    ControlChanged,
    DriftCleared,
    DriftDetected,
    EpochMeasured,
    Event,
    MetricObserved,
    MetricReported,
    OutcomeObserved,
    PredictionRequested,
    PredictionScored,
    Served,
)
from evenhand.monitoring import DriftRule, Monitoring
from evenhand.offline import Log, Runner, loop
from evenhand.processors.base import Row
from evenhand.processors.control import control
from evenhand.processors.drift import Drift
from evenhand.topics import DRIFT_SIGNALS, MEASUREMENTS, METRICS, OUTCOMES, REPORTS, REQUESTS, SCORED
from tests.unit.processors.play import PARTITIONS, START, Lines, served, story, trial, write

RULE = DriftRule(
    features=("x",), false_alarms_per_100k=30, reference_size=300, watched=("inputs", "predictions", "losses")
)
JUDGED = (REPORTS, DRIFT_SIGNALS)


class Kept:
    """Training samples: what x is like before it drifts."""

    def reference(self, model: str, version: str) -> Mapping[str, Any] | None:
        return {"x": np.random.default_rng(0).normal(0, 1, 2000)}


def monitored(rule: DriftRule | None = RULE, **policy: Any) -> ControlChanged:
    first = served(trial(minimum_sample_size=10**9))
    monitoring = Monitoring(epoch_s=10, grace_s=5, drift=rule, **policy)
    return msgspec.structs.replace(first, served=msgspec.structs.replace(first.served, monitoring=monitoring))


def drifting(seed: int, requests: int = 1200, seconds: int = 200, shift: float = 2.0) -> list[tuple[float, str, Event]]:
    """x moves by `shift` at half time, and outcomes no longer follow it."""
    r, told = random.Random(seed), list[tuple[float, str, Event]]()
    for i in range(requests):
        time = START + r.randrange(seconds * 1000)
        is_late = time >= START + seconds * 500
        x = r.gauss(shift if is_late else 0, 1)
        key = f"k{i % 40}"
        request = PredictionRequested(id=f"r{i}", time=time, key=key, model="line", features=[x])
        told.append((time + r.expovariate(1 / 800), REQUESTS, request))
        when = int(time + r.expovariate(1 / 2000))
        outcome = OutcomeObserved(id=f"o{i}", time=when, key=key, value=x + r.gauss(0, 0.1), request_id=f"r{i}")
        told.append((when + r.expovariate(1 / 800), OUTCOMES, outcome))
    return told


def first_of_each(log: Log, *topics: str) -> list[bytes]:
    found: dict[str, bytes] = {}
    for topic in topics:
        for value in log.values(topic):
            found.setdefault(msgspec.json.decode(value)["id"], value)
    return [found[name] for name in sorted(found)]


def play(log: Log, seed: int | None = None, crash: float = 0.0, batch: int = 50) -> Log:
    runner = Runner(log, loop(Lines(), controls=False, references=Kept()))
    runner.run(None if seed is None else random.Random(seed), crash, batch)
    return log


def signals(log: Log) -> list[DriftDetected | DriftCleared]:
    found = [signal for value in first_of_each(log, DRIFT_SIGNALS) if (signal := signal_of(value)) is not None]
    return sorted(found, key=lambda each: each.time)


@pytest.mark.parametrize("told", [drifting(1), story(1, requests=600)], ids=["drifting", "late, twice, contradicted"])
def test_no_interleaving_no_crash_and_no_batch_size_changes_a_report_or_an_alarm(told: Any) -> None:
    expected = first_of_each(play(write(told, monitored(), 1)), *JUDGED)
    assert len(expected) > 40
    for other in range(4):
        again = play(write(told, monitored(), 1), seed=other, crash=0.3 if other % 2 else 0.0, batch=1 + other * 20)
        assert first_of_each(again, *JUDGED) == expected


def test_an_alarm_names_what_drifted_and_why_and_ends_with_a_new_reference() -> None:
    told = signals(play(write(drifting(2, requests=2400), monitored(), 2)))
    began = {each.kind: each for each in told if isinstance(each, DriftDetected)}
    assert set(began) >= {"inputs", "predictions", "losses"}
    inputs = began["inputs"]
    assert (inputs.feature, inputs.cause, inputs.detector) == ("x", "mean", "rank_legendre")
    assert inputs.effect_size > 1
    assert 0 < inputs.time - (START + 100_000) <= 30_000, "within three epochs of the change"
    assert inputs.reference_size == 2000, "the training sample"
    assert began["predictions"].reference_size == 300, "learned from the stream"
    cleared = [each for each in told if isinstance(each, DriftCleared) and each.kind == "inputs"]
    assert [each.reference_size for each in cleared] == [300]
    assert cleared[0].time > inputs.time


def test_without_drift_there_is_no_alarm() -> None:
    quiet = msgspec.structs.replace(RULE, false_alarms_per_100k=1)
    assert signals(play(write(drifting(3, shift=0.0), monitored(quiet), 3))) == []


def test_eight_partitions_are_one_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same events on one partition: the same verdicts in the same epochs, counts and percentiles."""

    told = [(event.time + 1.0, topic, event) for _, topic, event in drifting(4)]  # nothing is late anywhere

    def reports(partitions: int) -> tuple[list[tuple[Any, ...]], dict[tuple[str | None, int], MetricReported]]:
        monkeypatch.setattr("tests.unit.processors.play.PARTITIONS", partitions)
        log = play(write(told, monitored(), 4))
        verdicts = [(type(each).__name__, each.kind, each.epoch, each.feature) for each in signals(log)]
        found = [msgspec.json.decode(value, type=MetricReported) for value in first_of_each(log, REPORTS)]
        return verdicts, {(each.version, each.epoch): each for each in found if "requests" in each.counts}

    verdicts, one = reports(1)
    again, many = reports(8)
    assert verdicts == again != []
    assert one.keys() == many.keys()
    for of, report in one.items():
        assert many[of].counts == report.counts
        assert many[of].values == pytest.approx(report.values, rel=1e-9)


def test_reports_agree_with_the_events_they_are_of() -> None:
    log = play(write(story(7, requests=600), monitored(None), 7))
    reports = [msgspec.json.decode(value, type=MetricReported) for value in first_of_each(log, REPORTS)]
    whole = [each for each in reports if each.version is None]
    assert [each.epoch for each in sorted(whole, key=lambda each: each.time)] == sorted({each.epoch for each in whole})
    pairs: dict[int, dict[str, PredictionScored]] = {}
    for value in log.values(SCORED):
        if b'"type":"PredictionScored"' in value:
            pair = msgspec.json.decode(value, type=PredictionScored)
            if pair.delay_ms <= 5000:
                at = pairs.setdefault(pair.time // 10_000, {})
                held = at.get(pair.id)
                if held is None or (pair.outcome_time or 0) < (held.outcome_time or 0):
                    at[pair.id] = pair
    compared = 0
    for report in whole:
        mine = pairs.get(report.epoch, {}).values()
        if "rmse" in report.values and len(mine) == report.counts["matured"]:
            errors = np.array([pair.value - pair.outcome for pair in mine])
            assert report.values["rmse"] == pytest.approx(float(np.sqrt((errors**2).mean())))
            compared += 1
    assert compared >= 15
    requests, late = (sum(each.counts.get(name, 0) for each in whole) for name in ("requests", "late"))
    assert 600 - late <= requests <= 600, "of some that are late there is a copy that is not"
    due, missing = (sum(each.counts.get(name, 0) for each in whole) for name in ("labels_due", "labels_missing"))
    assert due > 500
    assert 0.04 < missing / due < 0.2, "one in ten never comes"


def test_readings_are_reported_and_a_host_alone() -> None:
    told: list[tuple[float, str, Event]] = list(story(5, requests=60))
    for i in range(30):
        time = START + i * 5000
        host = MetricObserved(id=f"h{i}", time=time, key="_host", name="cpu_percent", value=float(i))
        mine = MetricObserved(id=f"m{i}", time=time, key=f"k{i}", name="clicks", value=2.0, model="line")
        told += [(time + 10.0, METRICS, host), (time + 10.0, METRICS, host), (time + 20.0, METRICS, mine)]
    log = play(write(told, monitored(None), 5, until_s=400))
    reports = [msgspec.json.decode(value, type=MetricReported) for value in first_of_each(log, REPORTS)]
    of_host = sorted((each.epoch, each) for each in reports if each.model == "_host")
    assert [(each.counts["cpu_percent"], each.values["cpu_percent_max"]) for _, each in of_host][:2] == [
        (12, 11),
        (12, 23),
    ]
    clicks = [each for each in reports if "clicks" in each.values]
    assert sum(each.counts["clicks"] for each in clicks) == 30
    assert {each.values["clicks"] for each in clicks} == {2.0}


def test_samples_of_partitions_are_the_sample_of_all() -> None:
    log = play(write(drifting(6), monitored(sample_rows=16), 6))
    measured = [msgspec.json.decode(value, type=EpochMeasured) for value in log.values(MEASUREMENTS)]
    by_epoch: dict[int, list[EpochMeasured]] = {}
    for each in measured:
        if each.inputs:
            by_epoch.setdefault(each.last_epoch, []).append(each)
    assert by_epoch
    for parts in by_epoch.values():
        rows = sorted(row for part in parts for row in part.inputs)
        assert merged([part.inputs for part in parts], 16) == tuple(rows[:16])


def test_state_rows_are_the_state() -> None:
    """A judge that is loaded from its rows goes on as the one that wrote them."""
    log = play(write(drifting(8, requests=2400), monitored(), 8))
    for partition in range(PARTITIONS):
        records = log.records[MEASUREMENTS, partition]
        if not records:
            continue
        whole, rows, sent = Drift(partition, PARTITIONS, Kept()), dict[bytes, bytes](), list[Any]()
        for record in records:
            output = whole.apply(MEASUREMENTS, [record])
            parted = Drift(partition, PARTITIONS, Kept())
            parted.load(rows.items())
            again = parted.apply(MEASUREMENTS, [record])
            assert again.sends == output.sends
            assert again.rows == output.rows
            for key, value in output.rows.items():
                if value is None:
                    rows.pop(key, None)
                else:
                    rows[key] = value
            assert dict(whole.rows()) == rows
            sent += output.sends.values()
        assert sent
        assert encode(whole.watching[next(iter(whole.watching))].state())


def test_concept_drift_without_input_drift_is_told_of_the_losses_and_the_estimate_is_not_believed() -> None:
    told: list[tuple[float, str, Event]] = []
    r = random.Random(9)
    for i in range(3000):
        time = START + i * 150
        x, is_changed = r.gauss(0, 1), i >= 1500
        request = PredictionRequested(id=f"r{i}", time=time, key=f"k{i % 40}", model="line", features=[x])
        value = -x if is_changed else x + r.gauss(0, 0.1)
        outcome = OutcomeObserved(id=f"o{i}", time=time + 500, key=f"k{i % 40}", value=value, request_id=f"r{i}")
        told += [(time + 1.0, REQUESTS, request), (time + 501.0, OUTCOMES, outcome)]
    quiet = msgspec.structs.replace(
        RULE, false_alarms_per_100k=1, watched=("inputs", "predictions", "losses", "expected_loss"), reference_size=500
    )
    began = [
        each for each in signals(play(write(told, monitored(quiet), 9, until_s=500))) if isinstance(each, DriftDetected)
    ]
    assert {each.kind for each in began} == {"losses", "estimate"}, "neither inputs nor predictions have moved"
    changed = START + 1500 * 150
    assert all(changed < each.time <= changed + 2000 * 150 for each in began), "within 2,000 matured outcomes"


def changing(told: list[tuple[float, str, Event]], at: int, then: Served) -> Log:
    """A log in which another configuration holds from a time on."""
    whole, log = write(told, monitored(), 11), Log(PARTITIONS)
    row = Row(None, encode(control(then, "line", at, "second")), [])
    for (topic, partition), records in whole.records.items():
        rows = [Row(each.key, each.value, each.headers) for each in records]
        if topic == REQUESTS:
            ticks = [i for i, each in enumerate(rows) if b'"Ticked"' in (each.value or b"")]
            rows.insert(next(i for i in ticks if msgspec.json.decode(rows[i].value or b"")["time"] >= at), row)
        log.append(topic, partition, rows)
    return log


def test_another_policy_or_champion_begins_anew_and_ends_what_had_drifted() -> None:
    told, at = drifting(11, requests=2400), START + 120_000
    first = monitored().served
    assert first.monitoring is not None
    longer = msgspec.structs.replace(first, monitoring=msgspec.structs.replace(first.monitoring, epoch_s=20))
    promoted = msgspec.structs.replace(first, champion="1.1.0", experiment=None)
    for then, reason in ((longer, "another policy"), (promoted, "version 1.1.0 serves now")):
        log = play(changing(told, at, then))
        found = signals(log)
        over = [each for each in found if isinstance(each, DriftCleared) and reason in each.reason]
        assert over
        assert all(each.time >= at for each in over)
        assert {each.version for each in over} == {"1.0.0"}
        expected = first_of_each(log, *JUDGED)
        for other in range(2):
            again = play(changing(told, at, then), seed=other, crash=0.3 * other, batch=1 + other * 30)
            assert first_of_each(again, *JUDGED) == expected
