"""One alert of one rule and model: inactive, pending, firing. A pure function of the values and their times."""

from typing import Literal

import msgspec

from evenhand.alerts.rule import AlertRule
from evenhand.codec import stable_id

Phase = Literal["inactive", "pending", "firing"]
HOUR_MS = 3_600_000


class AlertState(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Times are event time. `changes` are the last times at which a breach began or ended."""

    phase: Phase = "inactive"
    time_ms: int = -1
    since_ms: int = 0
    started_ms: int = 0
    ended_ms: int | None = None
    breached: bool = False
    changes: tuple[int, ...] = ()


class Transition(msgspec.Struct, frozen=True, kw_only=True):
    """Told once for each: `id` is the same in every replay, and names the firing and the resolve of one alert."""

    status: Literal["firing", "resolved"]
    id: str
    fingerprint: str
    started_ms: int
    time_ms: int
    value: float | None


def fingerprint(labels: dict[str, str]) -> str:
    """The alert's identity: a hash of its labels, whatever their order.

    >>> fingerprint({"a": "1", "b": "2"}) == fingerprint({"b": "2", "a": "1"})
    True
    """
    return stable_id("alert", *(f"{key}={value}" for key, value in sorted(labels.items())))


def labels_of(rule: AlertRule, model: str) -> dict[str, str]:
    """A rule's labels for a model, as Alertmanager wants them."""
    return {**rule.labels, "alertname": rule.name, "severity": rule.severity, "model": model}


def observe(
    rule: AlertRule, model: str, state: AlertState, time_ms: int, value: float | None
) -> tuple[AlertState, Transition | None]:
    """The state after a value, and what is to be told. A value that is not newer than the last changes nothing."""
    if time_ms <= state.time_ms:
        return state, None
    breached = rule.breached(value)
    state = msgspec.structs.replace(state, time_ms=time_ms)
    if breached is None:
        breached = state.breached
    if breached != state.breached:
        recent = tuple(at for at in state.changes if at > time_ms - HOUR_MS)[-max(20, rule.flaps) :]
        state = msgspec.structs.replace(state, breached=breached, changes=(*recent, time_ms), since_ms=time_ms)
    own = fingerprint(labels_of(rule, model))
    if state.phase == "firing":
        quiet_ms = HOUR_MS if len(state.changes) > rule.flaps else 0  # in the hour up to the last change
        if breached or time_ms - state.since_ms < quiet_ms:
            return state, None
        told = Transition(
            status="resolved", id=stable_id(own, state.started_ms, "resolved"), fingerprint=own,
            started_ms=state.started_ms, time_ms=time_ms, value=value,
        )  # fmt: skip
        return msgspec.structs.replace(state, phase="inactive", ended_ms=time_ms), told
    if not breached:
        return msgspec.structs.replace(state, phase="inactive"), None
    cooling = state.ended_ms is not None and time_ms < state.ended_ms + rule.cooldown_s * 1000
    if cooling or time_ms - state.since_ms < rule.for_s * 1000:
        return msgspec.structs.replace(state, phase="pending"), None
    told = Transition(
        status="firing", id=stable_id(own, time_ms, "firing"), fingerprint=own, started_ms=time_ms, time_ms=time_ms,
        value=value,
    )  # fmt: skip
    return msgspec.structs.replace(state, phase="firing", started_ms=time_ms), told
