"""Who hears of the alerts of one model, and when: one incident at a time, told once, repeated, and ended."""

from typing import Literal

import msgspec

from evenhand.alerts.incident import GRAVITY, Incident, hear
from evenhand.alerts.policy import AlertPolicy
from evenhand.alerts.routing import Route, Silence, route
from evenhand.alerts.rule import AlertRule
from evenhand.codec import stable_id
from evenhand.events import AlertFired, AlertResolved, AlertRouted

KEPT_INCIDENTS = 20
Told = tuple[AlertRouted, ...]
Why = Literal["told", "repeated", "resolved"]


class Firing(msgspec.Struct, frozen=True):
    """An alert that fires, its rule, and what was told of it."""

    alert: AlertFired
    rule: AlertRule
    route: Route = Route()


class Paging(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`told` has the gravity at which each channel was told of the incident, `told_ms` when last."""

    firing: dict[str, Firing] = {}
    incident: Incident | None = None
    told: dict[str, int] = {}
    told_ms: int = 0
    silences: tuple[Silence, ...] = ()
    past: tuple[Incident, ...] = ()


def take(paging: Paging, rule: AlertRule, alert: AlertFired | AlertResolved) -> tuple[Paging, Told]:
    """With an alert that began or ended. Who was told of an incident hears of its end, and nobody else does."""
    firing = {mark: one for mark, one in paging.firing.items() if mark != alert.fingerprint}
    if isinstance(alert, AlertFired):
        firing[alert.fingerprint] = Firing(alert, rule)
    incident = hear(paging.incident, alert)
    paging = msgspec.structs.replace(paging, firing=firing, incident=incident)
    if incident is None or incident.closed_ms is None or isinstance(alert, AlertFired):
        return paging, ()
    told = (_routed(alert, tuple(sorted(paging.told)), "resolved", incident, alert.time),) if paging.told else ()
    past = (*paging.past, incident)[-KEPT_INCIDENTS:]
    return msgspec.structs.replace(paging, incident=None, told={}, told_ms=0, past=past), told


def page(paging: Paging, policy: AlertPolicy, now_ms: int) -> tuple[Paging, Told]:
    """Whom to tell at `now_ms` of event time: of what has waited, is no longer silenced, or is due again."""
    incident, routed = paging.incident, list[AlertRouted]()
    if incident is None:
        return paging, ()
    silences = tuple(each for each in paging.silences if each.until_ms > now_ms)
    firing, told, told_ms = dict(paging.firing), dict(paging.told), paging.told_ms
    labels = [one.alert.labels for one in firing.values()]
    lead = ""  # the gravest that may be told of: it is what repeats
    for mark, one in sorted(firing.items(), key=lambda item: (-_gravity(item[1].alert), item[1].alert.time, item[0])):
        after, why = route(
            one.rule, one.alert, now_ms, one.route, silences=silences, inhibitions=policy.inhibitions,
            firing=labels, incident=incident,
        )  # fmt: skip
        if not lead and why not in {"silenced", "inhibited"}:
            lead = mark
        if now_ms < one.alert.time + policy.group_wait_s * 1000:
            continue
        firing[mark] = msgspec.structs.replace(one, route=after)
        channels = one.rule.channels
        if why == "told" and now_ms < told_ms + policy.group_s * 1000:
            channels = tuple(each for each in channels if told.get(each, -1) < _gravity(one.alert))
        elif why == "repeated":
            channels = tuple(sorted(told)) if mark == lead else ()
        if why in {"told", "repeated"} and channels:
            causes = tuple(sorted(incident.causes.values()))
            kind: Why = "told" if why == "told" else "repeated"
            routed.append(_routed(one.alert, channels, kind, incident, now_ms, causes))
            told_ms = now_ms
            for each in channels:
                told[each] = max(told.get(each, -1), _gravity(one.alert))
    return msgspec.structs.replace(paging, firing=firing, told=told, told_ms=told_ms, silences=silences), tuple(routed)


def _gravity(alert: AlertFired) -> int:
    return GRAVITY.get(alert.labels.get("severity", "warning"), 1)


def _routed(
    alert: AlertFired | AlertResolved, channels: tuple[str, ...], why: Why, incident: Incident, now_ms: int,
    causes: tuple[str, ...] = (),
) -> AlertRouted:  # fmt: skip
    fields = {name: getattr(alert, name) for name in AlertFired.__struct_fields__}
    causes = causes or tuple(sorted({*incident.causes.values(), *incident.past.values()}))
    others = [name for name in causes if name != alert.labels.get("alertname")]
    note = {"incident": incident.id} | ({"causes": ", ".join(others)} if others else {})
    fields |= {
        "id": stable_id("routed", alert.id, why, now_ms if why == "repeated" else ""), "time": now_ms,
        "key": incident.model, "annotations": {**alert.annotations, **note},
    }  # fmt: skip
    return AlertRouted(**fields, channels=channels, why=why, incident=incident.id, causes=causes)
