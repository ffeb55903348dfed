"""An incident: the causes that one model has at the same time (drift, service level, guardrail) as one page."""

import msgspec

from evenhand.codec import stable_id
from evenhand.events import AlertFired, AlertResolved


class Incident(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Open while any cause fires. `causes` are fingerprints to alert names; `past` those that have ended."""

    id: str
    model: str
    opened_ms: int
    severity: str
    causes: dict[str, str] = {}
    past: dict[str, str] = {}
    acknowledged_by: str | None = None
    closed_ms: int | None = None


GRAVITY = {"info": 0, "warning": 1, "critical": 2}


def hear(incident: Incident | None, alert: AlertFired | AlertResolved) -> Incident | None:
    """The model's incident after an alert, idempotently; the first firing opens one, the last resolve closes it."""
    name, mark, model = alert.labels.get("alertname", ""), alert.fingerprint, alert.labels.get("model", "")
    severity = alert.labels.get("severity", "warning")
    is_open = incident is not None and incident.closed_ms is None
    if isinstance(alert, AlertFired):
        if incident is None or not is_open:
            id_ = stable_id("incident", model, alert.id)
            return Incident(id=id_, model=model, opened_ms=alert.time, severity=severity, causes={mark: name})
        gravest = max(incident.severity, severity, key=lambda one: GRAVITY.get(one, 1))
        return msgspec.structs.replace(incident, severity=gravest, causes={**incident.causes, mark: name})
    if incident is None or mark not in incident.causes:
        return incident
    left = {key: value for key, value in incident.causes.items() if key != mark}
    closed = None if left else alert.time
    return msgspec.structs.replace(incident, causes=left, past={**incident.past, mark: name}, closed_ms=closed)


def acknowledge(incident: Incident, by: str) -> Incident:
    """Somebody looks after it: repeats end, the resolve is still told."""
    return msgspec.structs.replace(incident, acknowledged_by=by)
