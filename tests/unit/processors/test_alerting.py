"""Service levels and alerts: the same bytes whatever the interleaving and the crashes, and books that match."""

import msgspec
import pytest

from evenhand.alerts.desk import Desk, hear, judge, obey
from evenhand.alerts.policy import AlertPolicy
from evenhand.alerts.rule import AlertRule
from evenhand.events import (
    AlertRouted,
    CommandGiven,
    ComplianceReported,
    DecisionMade,
    DriftCleared,
    DriftDetected,
    Event,
    MetricReported,
    ServiceLevelReported,
)
from evenhand.offline import Log, Runner
from evenhand.processors.alerting import Alerting
from evenhand.processors.slo import Slo
from evenhand.slo.objective import Objective
from evenhand.topics import COMMANDS, DECISIONS, DRIFT_SIGNALS, NOTIFICATIONS, REPORTS, SERVICE_LEVELS
from tests.unit.processors.watched import MODEL, MONITORING, book, end_of, judged, log_of, measured, said
from tests.unit.processors.watched import SLOW as SLOW_RULE

GOOD, FAILING, SLOW = (300, 0, 20.0), (300, 90, 20.0), (300, 0, 500.0)
TROUBLE = [GOOD] * 20 + [FAILING] * 30 + [GOOD] * 400 + [None] * 90 + [SLOW] * 20 + [GOOD] * 20


def drift(epoch: int) -> tuple[DriftDetected, DriftCleared]:
    begun = DriftDetected(
        id=f"dd{epoch}", time=end_of(epoch), key=MODEL, model=MODEL, detector="rank_legendre", kind="inputs",
        statistic=2.0, threshold=1.0, effect_size=1.5, reference_size=500, window_size=20, feature="volatility",
        cause="spread",
    )  # fmt: skip
    cleared = DriftCleared(
        id=f"dc{epoch}", time=end_of(epoch + 30), key=MODEL, model=MODEL, detector="rank_legendre", kind="inputs"
    )
    return begun, cleared


def stop(epoch: int) -> DecisionMade:
    return DecisionMade(
        id=f"d{epoch}", time=end_of(epoch), key=MODEL, model=MODEL, subject="trial", epochs=(1, 1), action="stop_harm",
        reasons=("it fails",), variant="new", configuration_digest="c", evidence_digest="e",
    )  # fmt: skip


def causes() -> list[tuple[str, Event]]:
    begun, cleared = drift(25)
    return [(DRIFT_SIGNALS, begun), (DRIFT_SIGNALS, cleared), (DECISIONS, stop(30))]


@pytest.mark.parametrize("seed", range(2))
def test_neither_interleaving_nor_crash_nor_the_cut_of_silences_changes_an_alert(seed: int) -> None:
    expected = book(judged(log_of(measured(TROUBLE), causes())))
    levels = book(judged(log_of(measured(TROUBLE), causes())), SERVICE_LEVELS)
    assert len(expected) >= 8
    for other in range(2):
        log = log_of(measured(TROUBLE, seed=10 * seed + other), causes(), seed=other)
        judged(log, seed=other, crash=0.3 if other % 2 else 0.0)
        assert book(log) == expected
        assert book(log, SERVICE_LEVELS) == levels


def test_a_burnt_budget_a_slow_answer_drift_a_stop_and_silence_fire_and_resolve() -> None:
    told = said(judged(log_of(measured(TROUBLE), causes())))
    fired = {name for _, status, name in told if status == "firing"}
    assert fired == {"errors burns its error budget", "slow", "drift of inputs", "new was stopped", "no data"}
    books: dict[str, list[str]] = {}
    for _, status, name in told:
        books.setdefault(name, []).append(status)
    burns = books.pop("errors burns its error budget")
    assert all(statuses == ["firing", "resolved"] * (len(statuses) // 2) for statuses in books.values())
    assert (burns.count("firing"), burns.count("resolved")) == (2, 2), "a page, and a ticket"
    assert [epoch for epoch, status, name in told if (status, name) == ("firing", "slow")] == [542]
    assert [epoch for epoch, status, name in told if (status, name) == ("firing", "no data")] == [450 + 59]


def test_a_stop_that_is_heard_of_late_ends_when_it_would_have_ended() -> None:
    policy, begun = AlertPolicy(harm_lasts_s=600), stop(25)
    late = Desk(model=MODEL, subject="1", now_ms=begun.time + 3_600_000)
    after, alerts, _ = hear(late, policy, begun)
    assert [(type(alert).__name__, alert.time) for alert in alerts] == [
        ("AlertFired", begun.time), ("AlertResolved", begun.time + 600_000),
    ]  # fmt: skip
    assert after.stops == ()
    in_time = Desk(model=MODEL, subject="1", now_ms=begun.time)
    waiting, fired, _ = hear(in_time, policy, begun)
    assert fired == alerts[:1]
    assert len(waiting.stops) == 1


def routed(log: Log) -> list[AlertRouted]:
    return [msgspec.json.decode(value, type=AlertRouted) for value in book(log, NOTIFICATIONS)]


def test_causes_at_one_time_are_one_incident_and_one_page() -> None:
    found = routed(judged(log_of(measured(TROUBLE[:50]), causes())))
    assert len({one.incident for one in found}) == 1
    assert [(one.labels["alertname"], one.labels["severity"]) for one in found] == [
        ("errors burns its error budget", "warning"), ("errors burns its error budget", "critical"),
    ], "what is graver is told of, and what joins is not"  # fmt: skip


def test_a_silence_holds_at_once_and_an_acknowledged_incident_is_not_repeated() -> None:
    long = [GOOD] * 20 + [FAILING] * 600
    plain = routed(judged(log_of(measured(long))))
    assert [one.why for one in plain] == ["told", "told", "repeated", "repeated"]
    silence = CommandGiven(
        id="c1", time=end_of(19), key=MODEL, model=MODEL, command="silence", by="ann", until=end_of(500)
    )
    runner = Runner(log_of(measured(long), [(COMMANDS, silence)]), [Slo, Alerting])
    runner.run()
    assert {one.time for one in routed(runner.log)} == {end_of(500)}
    assert book(runner.log) == book(judged(log_of(measured(long)))), "a silence changes who is told, and no alert"
    log = judged(log_of(measured(long[:100])))
    acknowledged = CommandGiven(
        id="c2", time=end_of(99), key=MODEL, model=MODEL, command="acknowledge", by="ann",
        subject=routed(log)[0].incident,
    )  # fmt: skip
    desk, heard, policy = Desk(model=MODEL), list[AlertRouted](), MONITORING.alerts
    assert policy is not None
    for value in book(judged(log_of(measured(long))), SERVICE_LEVELS):
        event = msgspec.json.decode(value, type=ServiceLevelReported)
        desk, _, told = judge(desk, policy, event)
        heard += told
        if event.time == end_of(99):
            desk, _, told = obey(desk, policy, acknowledged)
            heard += told
    assert [one.why for one in heard] == ["told", "told"]


def test_a_drift_score_is_an_objective_too_and_a_rule_of_it_hears_of_it_once() -> None:
    objective = Objective(name="drift", metric="drift_score", comparison="<", threshold=0.1, unit="fraction")
    monitoring = msgspec.structs.replace(MONITORING, objectives=(objective,))
    scores = [
        (REPORTS, MetricReported(
            id=f"s{epoch}", time=end_of(epoch), key=MODEL, model=MODEL, version="1", epoch=epoch, epoch_s=60,
            values={"drift_score": 0.05 if epoch < 30 else 0.5},
        )) for epoch in range(60)
    ]  # fmt: skip
    expected = book(judged(log_of(measured([GOOD] * 60, monitoring=monitoring), scores)))
    assert said(judged(log_of(measured([GOOD] * 60, monitoring=monitoring), scores)))
    for seed in range(3):
        log = log_of(measured([GOOD] * 60, monitoring=monitoring), scores, seed)
        assert book(judged(log, seed, 0.2)) == expected


def test_traffic_that_falls_is_worth_a_rule() -> None:
    quiet = AlertRule(name="quiet", metric="throughput_per_s", comparison="<", threshold=2, unit="1/s", window_s=300)
    monitoring = msgspec.structs.replace(MONITORING, objectives=(), alerts=AlertPolicy(rules=(quiet,)))
    few = (30, 0, 20.0)
    log = judged(log_of(measured([GOOD] * 10 + [few] * 10 + [None] * 10 + [GOOD] * 10, monitoring=monitoring)))
    levels = [msgspec.json.decode(value, type=ServiceLevelReported) for value in log.values(SERVICE_LEVELS)]
    found = [(each.values.get(quiet.metric), each.windows["300"].get(quiet.metric)) for each in levels]
    assert found[:2] == [(5.0, 5.0)] * 2  # before the first request nobody watched
    assert found[11] == (0.5, (3 * 300 + 2 * 30) / 300)
    assert found[16] == (0.5, 0.5)
    assert found[20][0] is None
    assert [one for one in said(log) if one[2] == "quiet"] == [(13, "firing", "quiet"), (30, "resolved", "quiet")]


def test_days_and_months_that_are_over_have_a_compliance_report() -> None:
    twenty_hours_and_more = [GOOD] * 700 + [FAILING] * 100 + [GOOD] * 800
    log = judged(log_of(measured(twenty_hours_and_more)))
    reports = [
        msgspec.json.decode(value, type=ComplianceReported)
        for value in log.values(SERVICE_LEVELS)
        if b"ComplianceReported" in value
    ]
    assert [(one.per, one.objective) for one in reports] == [("day", "errors")]
    assert (reports[0].good, reports[0].bad) == (300 * 1200 - 9000, 9000)
    assert not reports[0].met


@pytest.mark.parametrize("seed", range(3))
def test_another_policy_ends_what_it_does_not_know_and_judges_from_its_first_epoch_on(seed: int) -> None:
    stricter = msgspec.structs.replace(SLOW_RULE, name="very slow", threshold=400.0, for_s=0)
    other = msgspec.structs.replace(MONITORING, objectives=(), alerts=AlertPolicy(rules=(stricter,)))
    before, after = measured([SLOW] * 30, seed), measured([SLOW] * 10 + [GOOD] * 20, seed, other, 32, f"{MODEL}@2")
    log = log_of({partition: before[partition] + after[partition] for partition in before}, seed=seed)
    judged(log, seed, 0.2)
    assert sorted(said(log)) == [
        (2, "firing", "slow"), (32, "firing", "very slow"), (32, "resolved", "slow"), (46, "resolved", "very slow"),
    ]  # fmt: skip
    assert {one.incident for one in routed(log)} == {routed(log)[0].incident}, "it passed on without an end"
