"""Who hears of an alert, and when again: silences, inhibition, repeats, and a dead man's switch."""

from collections.abc import Iterable
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from evenhand.alerts.incident import Incident
from evenhand.alerts.policy import Inhibition
from evenhand.alerts.rule import AlertRule
from evenhand.events import AlertFired, AlertResolved


class Silence(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Alerts with all these labels are not told of in [from_ms, until_ms). It hides no resolve of what was told."""

    matches: Annotated[dict[str, str], Meta(min_length=1)]
    from_ms: int
    until_ms: int
    by: str
    reason: str = ""

    def covers(self, labels: dict[str, str], time_ms: int) -> bool:
        """Whether it holds for these labels at that time."""
        return self.from_ms <= time_ms < self.until_ms and _has(labels, self.matches)


class Route(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What was told of one alert: when last, of which firing. Nothing, if it was not."""

    started: str = ""
    told_ms: int = 0


Why = Literal["told", "repeated", "silenced", "inhibited", "acknowledged", "too soon", "never told"]


def route(
    rule: AlertRule,
    alert: AlertFired | AlertResolved,
    now_ms: int,
    before: Route,
    *,
    silences: Iterable[Silence] = (),
    inhibitions: Iterable[Inhibition] = (),
    firing: Iterable[dict[str, str]] = (),
    incident: Incident | None = None,
) -> tuple[Route, Why]:
    """Whether the channels are told of an alert now. Ask again as event time goes on: a silence ends, a repeat is due.

    `firing` are the labels of all alerts that fire. A resolve is told exactly where its firing was: so no channel
    has an alert that never ends, nor an end without a beginning.
    """
    told = before.started == alert.startsAt
    if isinstance(alert, AlertResolved):
        return Route(), ("told" if told else "never told")
    if any(silence.covers(alert.labels, now_ms) for silence in silences):
        return before, "silenced"
    others = [labels for labels in firing if labels != alert.labels]
    if any(_inhibits(one, labels, alert.labels) for one in inhibitions for labels in others):
        return before, "inhibited"
    if not told:
        return Route(started=alert.startsAt, told_ms=now_ms), "told"
    if incident is not None and incident.acknowledged_by is not None:
        return before, "acknowledged"
    if now_ms < before.told_ms + rule.repeat_s * 1000:
        return before, "too soon"
    return Route(started=alert.startsAt, told_ms=now_ms), "repeated"


def _has(labels: dict[str, str], wanted: dict[str, str]) -> bool:
    return all(labels.get(name) == value for name, value in wanted.items())


def _inhibits(one: Inhibition, source: dict[str, str], target: dict[str, str]) -> bool:
    same = all(source.get(name) == target.get(name) for name in one.equal)
    return same and _has(source, one.source) and _has(target, one.target)


class DeadMansSwitch(msgspec.Struct, frozen=True, kw_only=True):
    """Fires when nothing has been heard for `after_ms`: a worker that is dead raises no alert of its own."""

    after_ms: Annotated[int, Meta(ge=1)]
    heard_ms: int

    def hear(self, time_ms: int) -> "DeadMansSwitch":
        """A sign of life."""
        return msgspec.structs.replace(self, heard_ms=max(self.heard_ms, time_ms))

    def is_silent(self, now_ms: int) -> bool:
        """Whether it has been silent for too long."""
        return now_ms - self.heard_ms >= self.after_ms
