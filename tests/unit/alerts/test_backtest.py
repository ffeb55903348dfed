"""A backtest says what was said live; other rules say something else; and what cannot be kept gets a proposal."""

import msgspec
import pytest

from evenhand.alerts.backtest import READS, Backtest, Change, Said, book, check
from evenhand.alerts.policy import AlertPolicy
from evenhand.events import ServiceLevelReported
from evenhand.monitoring import Monitoring
from evenhand.offline import Log
from evenhand.slo.objective import Objective
from evenhand.topics import ALERTS, SERVICE_LEVELS
from tests.unit.processors.test_alerting import TROUBLE, causes
from tests.unit.processors.watched import MODEL, MONITORING, PARTITIONS, SLOW, judged, log_of, measured


def backtested(log: Log, change: Change | None = None) -> Said:
    test = Backtest(PARTITIONS) if change is None else Backtest(PARTITIONS, change)
    for topic in READS:
        for partition in range(PARTITIONS):
            for record in log.records[topic, partition]:
                test.take(topic, partition, record)
    return test.run()


@pytest.fixture(scope="module")
def live() -> Log:
    return judged(log_of(measured(TROUBLE), causes(), seed=5), seed=5, crash=0.2)


def test_a_backtest_gives_exactly_the_alerts_of_the_live_run(live: Log) -> None:
    said = backtested(live)
    assert said.alerts == book(live.values(ALERTS))
    levels = [msgspec.json.decode(value, type=ServiceLevelReported) for value in book(live.values(SERVICE_LEVELS))]
    assert sorted(said.levels, key=lambda one: (one.time, one.id)) == levels


def test_another_rule_fires_where_it_would_have(live: Log) -> None:
    strict = msgspec.structs.replace(SLOW, threshold=10.0)
    policy = AlertPolicy(rules=(strict,))

    def change(model: str, monitoring: Monitoring) -> Monitoring:
        assert model == MODEL
        return msgspec.structs.replace(monitoring, alerts=policy, objectives=())

    said = backtested(live, change)
    assert b'"slow"' in said.alerts[0]
    assert not any(b"burns" in value for value in said.alerts)


def test_a_check_counts_and_proposes_what_could_be_kept(live: Log) -> None:
    hopeless = Objective(
        name="fast", metric="response_time_p95_ms", comparison="<", threshold=1.0, unit="ms", target=0.9
    )

    def change(_: str, monitoring: Monitoring) -> Monitoring:
        return msgspec.structs.replace(monitoring, objectives=(hopeless, *MONITORING.objectives))

    found = {one.name: one for one in check(MODEL, change(MODEL, MONITORING), backtested(live, change))}
    fast = found["fast"]
    assert (fast.breached, fast.epochs) == (1.0, 490)
    assert fast.fired > 0
    assert fast.proposed is not None
    kept = check(MODEL, proposed := msgspec.structs.replace(
        MONITORING, objectives=(msgspec.structs.replace(hopeless, threshold=fast.proposed),)
    ), backtested(live, lambda _, m: msgspec.structs.replace(m, objectives=proposed.objectives)))  # fmt: skip
    assert (kept[0].fired, kept[0].proposed) == (0, None)
    slow = found["slow"]
    assert (slow.fired, slow.proposed is not None) == (1, True)
