"""Other rules of alerts hold from an epoch on, and what is watched goes on."""

from typing import Any

import msgspec
import pytest

from evenhand.alerts.policy import AlertPolicy
from evenhand.alerts.rule import AlertRule
from evenhand.codec import decoder
from evenhand.events import ComplianceReported, ServiceLevelReported
from evenhand.processors.control import control
from evenhand.processors.policies import Policies
from evenhand.topics import ALERTS, DRIFT_SIGNALS, REPORTS, SERVICE_LEVELS
from tests.unit.processors.play import START, write
from tests.unit.processors.test_drift import changing, drifting, first_of_each, monitored, play
from tests.unit.processors.watched import MONITORING, SLOW, judged, log_of, measured, said

BUSY = AlertRule(name="busy", metric="error_fraction", comparison=">=", threshold=0.0, unit="fraction", window_s=10)


def test_neither_drift_nor_reports_begin_anew() -> None:
    told, at = drifting(11), START + 120_000
    first = monitored().served
    assert first.monitoring is not None
    stricter = msgspec.structs.replace(
        first, monitoring=msgspec.structs.replace(first.monitoring, alerts=AlertPolicy(rules=(BUSY,)))
    )
    plain = play(write(told, monitored(), 11))
    changed = play(changing(told, at, stricter), seed=1, crash=0.3)
    assert first_of_each(changed, REPORTS, DRIFT_SIGNALS) == first_of_each(plain, REPORTS, DRIFT_SIGNALS)
    levels = [
        level for value in first_of_each(changed, SERVICE_LEVELS)
        if isinstance(level := decoder(ServiceLevelReported, ComplianceReported).decode(value), ServiceLevelReported)
    ]  # fmt: skip
    begun = [level.time for level in levels if level.alerts == AlertPolicy(rules=(BUSY,))]
    assert begun == [at + 10_000], "once, in the first epoch after it"
    fired = [msgspec.json.decode(value) for value in first_of_each(changed, ALERTS)]
    busy = [alert for alert in fired if alert["labels"]["alertname"] == "busy" and alert["status"] == "firing"]
    assert [alert["time"] for alert in busy] == [at + 10_000]


@pytest.mark.parametrize("seed", range(3))
def test_an_alert_whose_rule_is_gone_ends_and_the_objectives_go_on(seed: int) -> None:
    epochs: list[Any] = [(300, 90, 500.0)] * 60
    other = msgspec.structs.replace(MONITORING, alerts=AlertPolicy(rules=(BUSY,), page=AlertPolicy().ticket))
    before, after = measured(epochs[:30], seed), measured(epochs[30:], seed, other, 30)
    log = log_of({partition: before[partition] + after[partition] for partition in before}, seed=seed)
    found = said(judged(log, seed, 0.2))
    assert [(30, "firing", "busy"), (30, "resolved", SLOW.name)] == sorted(
        one for one in found if one[2] in {"busy", SLOW.name} and one[0] >= 30
    )
    pages = [one for one in found if one[2] == "errors burns its error budget" and one[0] == 30]
    assert [status for _, status, _ in pages] == ["firing", "resolved"], "the page is a ticket now"


@pytest.mark.parametrize("seen_s", [40, 75, 500])
def test_a_silence_is_cut_where_other_rules_begin_to_hold(seen_s: int) -> None:
    first = monitored()
    assert first.served.monitoring is not None
    rules = msgspec.structs.replace(first.served.monitoring, alerts=AlertPolicy(rules=(BUSY,)))
    then = control(msgspec.structs.replace(first.served, monitoring=rules), "line", START + 35_000, "second")
    policies = Policies()
    policies.hear(first, START)
    policies.hear(then, START + seen_s * 1000)
    (policy,) = policies.by_name.values()
    begin = policy.epoch_of(START)
    spans = [*policy.spans(begin, begin + 99)]
    assert [epoch for one, last in spans for epoch in range(one, last + 1)] == [*range(begin, begin + 100)]
    held = [[policy.rules(epoch).alerts for epoch in range(one, last + 1)] for one, last in spans]
    assert [each == [one] * len(each) for each, one in zip(held, [None, rules.alerts], strict=True)] == [True, True]
