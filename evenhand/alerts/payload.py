"""An alert as `alerts.v1` carries it: Alertmanager's shape."""

from datetime import UTC, datetime

from evenhand.alerts.alert import Transition, labels_of
from evenhand.alerts.rule import AlertRule
from evenhand.events import AlertFired, AlertResolved


def iso(time_ms: int) -> str:
    """RFC 3339 in UTC.

    >>> iso(1542153600000)
    '2018-11-14T00:00:00.000Z'
    """
    return datetime.fromtimestamp(time_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def event(rule: AlertRule, model: str, told: Transition, summary: str = "") -> AlertFired | AlertResolved:
    """The event of a transition: the same bytes in every replay. `summary` is in place of our own words."""
    said = "no data" if told.value is None else f"{told.value:.6g} {rule.unit}"
    limit = f"{rule.comparison} {rule.threshold:g} {rule.unit}"
    words = summary or f"{rule.name}: {rule.metric} is {said}; alerts where {limit}"
    annotations = {"summary": words, **rule.annotations}
    ended = iso(told.time_ms) if told.status == "resolved" else ""
    kind = AlertFired if told.status == "firing" else AlertResolved
    return kind(
        id=told.id, time=told.time_ms, key=told.fingerprint, status=told.status, labels=labels_of(rule, model),
        annotations=annotations, startsAt=iso(told.started_ms), endsAt=ended, fingerprint=told.fingerprint,
    )  # fmt: skip


def alert_line(alert: AlertFired | AlertResolved) -> str:
    """An alert in one line, for people."""
    said = alert.annotations.get("summary", alert.labels["alertname"])
    return f"alert {alert.status} ({alert.labels['severity']}): {said}"
