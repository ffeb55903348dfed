"""What other judges say, as readings of rules: service levels, drift, and experiments that were stopped for harm."""

from collections.abc import Iterator
from typing import NamedTuple

import msgspec

from evenhand.alerts.policy import AlertPolicy, Notice
from evenhand.alerts.rule import AlertRule
from evenhand.events import DecisionMade, DriftCleared, DriftDetected, Level, ServiceLevelReported
from evenhand.slo.indicator import JUDGED

HARMFUL_DRIFT = frozenset({"losses"})


class Reading(NamedTuple):
    """A value of a rule, and what to say of it where the rule's own words say too little."""

    rule: AlertRule
    value: float | None
    summary: str = ""


def _rule(name: str, metric: str, threshold: float, unit: str, notice: Notice, **labels: str) -> AlertRule:
    return AlertRule(
        name=name[:128], metric=metric, comparison=">=", threshold=threshold, unit=unit, severity=notice.severity,
        channels=notice.channels, repeat_s=notice.repeat_s, labels=labels, annotations=notice.annotations,
    )  # fmt: skip


def of_service_level(policy: AlertPolicy, event: ServiceLevelReported, silent_s: float) -> Iterator[Reading]:
    """Readings of the configured rules, of error budgets, and of silence."""
    for rule in policy.rules:
        if (rule.metric in JUDGED) is event.judged:
            values = event.windows.get(str(rule.window_s), event.values)
            yield Reading(rule, values.get(rule.metric))
    for name, level in event.levels.items():
        yield from _of_level(policy, name, level)
    if not event.judged:
        after_s = policy.no_data_after_s
        rule = _rule("no data", "silence_s", after_s, "s", policy.no_data, source="no_data")
        yield Reading(rule, silent_s, f"no data for {silent_s:.0f} s of event time; alerts after {after_s} s")


def _of_level(policy: AlertPolicy, name: str, level: Level) -> Iterator[Reading]:
    for severity, notice in (("page", policy.page), ("ticket", policy.ticket)):
        value = None if level.burn == "no_data" else 0.0
        if level.burn == "burning":  # a ticket that is open stays so while the budget burns faster still
            value = level.rate if level.severity == severity else None if severity == "ticket" else 0.0
        rule = _rule(
            f"{name} burns its error budget", f"burn_rate/{name}", 1.0, "times the budget", notice,
            source="slo", objective=name, burn=severity,
        )  # fmt: skip
        rule = msgspec.structs.replace(rule, cooldown_s=policy.cooldown_s)
        if value:
            spent = "" if level.spent is None else f", {level.spent:.0%} of the budget is spent"
            yield Reading(rule, value, f"{name}: the error budget burns {value:.1f} times too fast{spent}")
        else:
            yield Reading(rule, value, f"{name}: the error budget no longer burns too fast")


def drift_rule(policy: AlertPolicy, kind: str) -> AlertRule:
    """The rule that a kind of drift is told by."""
    notice = policy.harm if kind in HARMFUL_DRIFT else policy.drift
    return _rule(f"drift of {kind}", f"drift/{kind}", 1.0, "times the threshold", notice, source="drift", kind=kind)


def of_drift(policy: AlertPolicy, event: DriftDetected | DriftCleared) -> Reading:
    """A drift that began or ended."""
    kind = event.kind or event.detector
    rule = drift_rule(policy, kind)
    if isinstance(event, DriftCleared):
        return Reading(rule, 0.0, f"drift of {kind} has ended: {event.reason or 'it was cleared'}")
    names = [f"{each.feature} ({each.cause}, {each.effect_size:+.2g} sd)" for each in event.findings]
    one = f"{event.feature or 'all'} ({event.cause or event.detector}, {event.effect_size:+.2g} sd)"
    said = ", ".join(names) or one
    ratio = event.statistic / event.threshold if event.threshold > 0 else 1.0
    return Reading(rule, max(1.0, ratio), f"drift of {kind}: {said}")


def of_stop(policy: AlertPolicy, event: DecisionMade) -> Reading | None:
    """A variant that was stopped because it did harm; None for every other decision."""
    if event.action not in {"stop_harm", "abort"}:
        return None
    name = event.variant or event.subject
    rule = _rule(
        f"{name} was stopped", f"stop/{event.subject}/{name}", 1.0, "stop", policy.harm,
        source="experiment", experiment=event.subject, variant=name,
    )  # fmt: skip
    return Reading(rule, 1.0, f"{name} of {event.subject} was stopped: {'; '.join(event.reasons)}")


def ended(rule: AlertRule) -> Reading:
    """The reading that resolves an alert whose cause is over."""
    what = "it was told of for long enough" if rule.labels.get("source") == "drift" else "this is over"
    return Reading(rule, 0.0, f"{rule.name}: {what}")
