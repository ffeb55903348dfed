"""Alerts and who is told of them are the same bytes, in the same order, whichever topic is read first."""

import random
from collections.abc import Sequence

import msgspec
import pytest

from evenhand.alerts.policy import AlertPolicy
from evenhand.codec import encode
from evenhand.events import MetricReported
from evenhand.offline import Log, Runner
from evenhand.processors.alerting import Alerting
from evenhand.processors.base import Record, Row
from evenhand.processors.slo import Slo
from evenhand.slo.objective import Objective
from evenhand.topics import ALERTS, DECISIONS, DRIFT_SIGNALS, NOTIFICATIONS, REPORTS, SERVICE_LEVELS
from tests.unit.processors.test_alerting import FAILING, GOOD, drift, stop
from tests.unit.processors.watched import MINE, MODEL, MONITORING, PARTITIONS, end_of, log_of, measured

Chunks = list[tuple[str, Sequence[Record]]]
SCORE = Objective(name="drift", metric="drift_score", comparison="<", threshold=0.1, unit="fraction")


@pytest.fixture(scope="module")
def log() -> Log:
    """Two alarms of one kind within the time for which drift is told of; the first was cleared before the second."""
    policy = AlertPolicy(drift_lasts_s=1200, group_wait_s=0)
    monitoring = msgspec.structs.replace(MONITORING, objectives=(*MONITORING.objectives, SCORE), alerts=policy)
    (one, cleared), (two, over) = drift(25), drift(40)
    cleared = msgspec.structs.replace(cleared, time=end_of(30))
    scores = [
        (REPORTS, MetricReported(
            id=f"s{epoch}", time=end_of(epoch), key=MODEL, model=MODEL, version="1", epoch=epoch, epoch_s=60,
            values={"drift_score": 0.5 if 25 <= epoch < 45 else 0.0},
        )) for epoch in range(90)
    ]  # fmt: skip
    told = measured([GOOD] * 50 + [FAILING] * 10 + [GOOD] * 30, monitoring=monitoring)
    signals = [(DRIFT_SIGNALS, each) for each in (one, cleared, two, over)]
    played = log_of(told, [*signals, *scores])
    Runner(played, [Slo]).run()
    return played


def said(chunks: Chunks, crash: float = 0.0, seed: int = 0) -> list[bytes]:
    """Alerts, then who is told of them, by chunks in this order. After a crash it is loaded from its rows."""
    r, held = random.Random(seed), dict[bytes, bytes]()
    alerting, found = Alerting(MINE, PARTITIONS), dict[str, list[bytes]]({ALERTS: [], NOTIFICATIONS: []})
    for topic, records in chunks:
        output = alerting.apply(topic, records)
        for name in found:
            found[name] += [row.value or b"" for row in output.sends.get((name, MINE), [])]
        for key, value in output.rows.items():
            if value is None:
                assert held.pop(key, None) is not None, "only what was stored is deleted"
            else:
                held[key] = value
        if r.random() < crash:
            assert dict(alerting.rows()) == held
            alerting = Alerting(MINE, PARTITIONS)
            alerting.load(held.items())
    return [*found[ALERTS], *found[NOTIFICATIONS]]


def shuffled(log: Log, seed: int) -> Chunks:
    """The records of both topics, each in order, cut and interleaved as the seed says."""
    r, left = random.Random(seed), {name: list(log.records[name, MINE]) for name in (SERVICE_LEVELS, DRIFT_SIGNALS)}
    chunks: Chunks = []
    while any(left.values()):
        name = r.choice([name for name, records in left.items() if records])
        count = r.choice((1, 2, 10, 100))
        chunks.append((name, left[name][:count]))
        left[name] = left[name][count:]
    return chunks


def test_drift_before_levels_and_levels_before_drift_are_the_same_bytes(log: Log) -> None:
    levels, signals = ((name, log.records[name, MINE]) for name in (SERVICE_LEVELS, DRIFT_SIGNALS))
    expected = said([levels, signals])
    drifts = [
        (alert["time"], alert["status"]) for alert in map(msgspec.json.decode, expected)
        if alert["labels"]["alertname"] == "drift of inputs" and alert["type"] != "AlertRouted"
    ]  # fmt: skip
    assert drifts == [
        (end_of(25), "firing"), (end_of(30), "resolved"), (end_of(40), "firing"), (end_of(60), "resolved"),
    ], "the second alarm is told of for as long as the first would have been"  # fmt: skip
    assert {b"AlertFired", b"AlertResolved", b"AlertRouted"} == {
        value.split(b'"')[3] for value in expected
    }  # fmt: skip
    assert said([signals, levels]) == expected
    for seed in range(30):
        assert said(shuffled(log, seed), crash=0.2 * (seed % 2), seed=seed) == expected


def test_what_comes_twice_is_told_once(log: Log) -> None:
    chunks = shuffled(log, 99)
    assert said([*chunks, *chunks]) == said(chunks)


@pytest.mark.parametrize("seed", range(5))
def test_a_stop_that_comes_late_changes_no_alert(log: Log, seed: int) -> None:
    stopped = Log(PARTITIONS)
    stopped.append(DECISIONS, MINE, [Row(MODEL.encode(), encode(stop(30)), [])])
    decision, r = (DECISIONS, stopped.records[DECISIONS, MINE]), random.Random(seed)
    chunks = shuffled(log, seed)
    first = alerts_of(said([decision, *chunks]))
    assert first != alerts_of(said(chunks))
    chunks.insert(r.randrange(len(chunks)), decision)
    assert alerts_of(said(chunks)) == first


def alerts_of(values: list[bytes]) -> list[bytes]:
    return sorted(value for value in values if b"AlertRouted" not in value)
