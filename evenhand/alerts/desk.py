"""Everything about the alerts of one model: what its rules say, its incident, and what people said about it."""

from collections.abc import Iterable

import msgspec

from evenhand.alerts.alert import AlertState, fingerprint, labels_of, observe
from evenhand.alerts.causes import Reading, drift_rule, ended, of_drift, of_service_level, of_stop
from evenhand.alerts.incident import acknowledge
from evenhand.alerts.paging import Paging, Told, page, take
from evenhand.alerts.payload import event as payload
from evenhand.alerts.policy import AlertPolicy
from evenhand.alerts.routing import Silence
from evenhand.alerts.rule import AlertRule
from evenhand.events import (
    AlertFired,
    AlertResolved,
    AlertRouted,
    CommandGiven,
    DecisionMade,
    DriftCleared,
    DriftDetected,
    ServiceLevelReported,
)

Signal = DriftDetected | DriftCleared | DecisionMade
Alerts = tuple[AlertFired | AlertResolved, ...]


class Stop(msgspec.Struct, frozen=True):
    """A stop for harm, or drift, that is told of until `until_ms`."""

    rule: AlertRule
    until_ms: int


class Desk(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`now_ms` is the end of the last epoch that was judged, `data_ms` of the last one with data."""

    model: str
    subject: str = ""
    now_ms: int = -1
    data_ms: int | None = None
    states: dict[str, AlertState] = {}
    stops: tuple[Stop, ...] = ()
    drifting: tuple[str, ...] = ()
    paging: Paging = Paging()


class Turn(msgspec.Struct):
    """A desk at work: what its readings lead to, in order."""

    desk: Desk
    policy: AlertPolicy
    alerts: list[AlertFired | AlertResolved] = []
    routed: list[AlertRouted] = []

    def read(self, readings: Iterable[tuple[int, Reading]]) -> None:
        """Take readings of one moment. Those that fire come first, so that an incident passes on without an end."""
        states, model = dict(self.desk.states), self.desk.model
        told: list[tuple[AlertRule, AlertFired | AlertResolved]] = []
        for time_ms, (rule, value, summary) in readings:
            name = fingerprint(labels_of(rule, model))
            state, transition = observe(rule, model, states.get(name, AlertState()), time_ms, value)
            states[name] = state
            if transition is not None:
                told.append((rule, payload(rule, model, transition, summary)))
        paging = self.desk.paging
        for rule, alert in sorted(told, key=lambda one: one[1].status):
            paging, routed = take(paging, rule, alert)
            self.alerts.append(alert)
            self.routed += routed
        self.desk = msgspec.structs.replace(self.desk, states=states, paging=paging)

    def page(self) -> None:
        """Tell whoever is to be told now."""
        now_ms = max([self.desk.now_ms, *(alert.time for alert in self.alerts)])
        paging, routed = page(self.desk.paging, self.policy, now_ms)
        self.desk = msgspec.structs.replace(self.desk, paging=paging)
        self.routed += routed


def judge(desk: Desk, policy: AlertPolicy, event: ServiceLevelReported) -> tuple[Desk, Alerts, Told]:
    """After an epoch. An event that is not newer than the last one of its kind changes nothing."""
    turn = Turn(desk, policy)
    if event.judged:
        readings = [(event.time, each) for each in of_service_level(policy, event, 0.0)]
        readings += [(event.time, ended(rule)) for rule in _without_rule(desk, policy, event, readings)]
        turn.read(readings)
        turn.page()
        return _done(turn)
    if event.time <= desk.now_ms:
        return desk, (), ()
    begun = event.time - event.epoch_s * 1000 if desk.data_ms is None else desk.data_ms
    read = "error_fraction" in event.values or (event.model.startswith("_") and event.values)
    data_ms = event.time if read else begun
    silent_s = (event.time - data_ms) / 1000
    readings = [(event.time, each) for each in of_service_level(policy, event, silent_s)]
    over = [stop for stop in desk.stops if stop.until_ms <= event.time]
    readings += [(stop.until_ms, ended(stop.rule)) for stop in over]
    drifting = desk.drifting
    if desk.subject not in {"", event.subject}:  # drift is watched anew, and no end of the old one will come
        readings += [(event.time, ended(drift_rule(policy, kind))) for kind in drifting]
        drifting = ()
    readings += [(event.time, ended(rule)) for rule in _without_rule(desk, policy, event, readings)]
    turn.read(readings)
    turn.desk = msgspec.structs.replace(
        turn.desk, subject=event.subject, now_ms=event.time, data_ms=data_ms, drifting=drifting,
        stops=tuple(stop for stop in desk.stops if stop not in over),
    )  # fmt: skip
    turn.page()
    return _done(turn)


def hear(desk: Desk, policy: AlertPolicy, signal: Signal) -> tuple[Desk, Alerts, Told]:
    """Drift began or ended, or a decision was made."""
    turn = Turn(desk, policy)
    if isinstance(signal, DecisionMade):
        reading = of_stop(policy, signal)
        if reading is None:
            return desk, (), ()
        stop = Stop(reading.rule, signal.time + policy.harm_lasts_s * 1000)
        turn.desk = msgspec.structs.replace(desk, stops=(*desk.stops, stop))
    else:
        reading, kind = of_drift(policy, signal), signal.kind or signal.detector
        others = tuple(each for each in desk.drifting if each != kind)
        drifting = (*others, kind) if isinstance(signal, DriftDetected) else others
        stops = tuple(stop for stop in desk.stops if stop.rule.name != reading.rule.name)
        if isinstance(signal, DriftDetected) and policy.drift_lasts_s is not None:
            stops = (*stops, Stop(reading.rule, signal.time + policy.drift_lasts_s * 1000))
        turn.desk = msgspec.structs.replace(desk, drifting=drifting, stops=stops)
    turn.read([(signal.time, reading)])
    # A decision may come after epochs that end later than what it tells of: its end is told with it, at its own time.
    over = [stop for stop in turn.desk.stops if stop.until_ms <= desk.now_ms]
    turn.read((stop.until_ms, ended(stop.rule)) for stop in over)
    turn.desk = msgspec.structs.replace(turn.desk, stops=tuple(s for s in turn.desk.stops if s not in over))
    turn.page()
    return _done(turn)


def obey(desk: Desk, policy: AlertPolicy, command: CommandGiven) -> tuple[Desk, Alerts, Told]:
    """Somebody acknowledges the open incident, or asks for silence, which holds at once."""
    paging, now_ms = desk.paging, min(desk.now_ms, command.time)
    incident = paging.incident
    if command.command == "silence" and command.until is not None:
        silence = Silence(
            matches=command.matches or {"model": desk.model}, from_ms=now_ms, until_ms=command.until,
            by=command.by, reason=command.reason,
        )  # fmt: skip
        paging = msgspec.structs.replace(paging, silences=(*paging.silences, silence))
    elif command.command == "acknowledge" and incident is not None and command.subject in {None, incident.id}:
        paging = msgspec.structs.replace(paging, incident=acknowledge(incident, command.by))
    turn = Turn(msgspec.structs.replace(desk, paging=paging), policy)
    turn.page()
    return _done(turn)


def _without_rule(
    desk: Desk, policy: AlertPolicy, event: ServiceLevelReported, readings: Iterable[tuple[int, Reading]]
) -> list[AlertRule]:
    """Rules of alerts that fire and that nobody has any more, for it was configured otherwise."""
    rules = [reading.rule for _, reading in readings] + [stop.rule for stop in desk.stops] + [*policy.rules]
    rules += [drift_rule(policy, kind) for kind in desk.drifting]
    kept = {fingerprint(labels_of(rule, desk.model)) for rule in rules}
    gone = [one.rule for mark, one in desk.paging.firing.items() if mark not in kept]
    is_new = desk.subject != event.subject and not event.judged
    return [
        rule for rule in gone
        if is_new or rule.labels.get("objective") in event.levels
        or not (event.judged or rule.labels.get("source") == "slo")
    ]  # fmt: skip


def _done(turn: Turn) -> tuple[Desk, Alerts, Told]:
    return turn.desk, tuple(turn.alerts), tuple(turn.routed)
