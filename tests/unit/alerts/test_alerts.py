"""An alert fires and resolves once each, whatever comes twice, and whoever was told hears the end."""

from collections.abc import Sequence

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evenhand.alerts.alert import AlertState, Transition, observe
from evenhand.alerts.incident import acknowledge, hear
from evenhand.alerts.paging import Paging, page, take
from evenhand.alerts.payload import event
from evenhand.alerts.policy import AlertPolicy, Inhibition
from evenhand.alerts.routing import DeadMansSwitch, Route, Silence, route
from evenhand.alerts.rule import AlertRule
from evenhand.events import AlertFired, AlertResolved

T0, MINUTE = 1_542_153_600_000, 60_000
SLOW = AlertRule(name="slow", metric="response_time_p95_ms", comparison=">", threshold=1000, unit="ms", for_s=120)


def play(
    rule: AlertRule, values: Sequence[float | None], step_ms: int = MINUTE
) -> tuple[list[tuple[int, Transition]], AlertState]:
    state, told = AlertState(), []
    for place, value in enumerate(values):
        state = msgspec.json.decode(msgspec.json.encode(state), type=AlertState)
        state, one = observe(rule, "m", state, T0 + place * step_ms, value)
        assert observe(rule, "m", state, T0 + place * step_ms, value) == (state, None)
        told += [(place, one)] if one else []
    return told, state


def test_it_is_pending_first_fires_after_its_time_and_resolves() -> None:
    told, state = play(SLOW, [900, 1500, 1500, 1500, 1500, 900, 900])
    assert [(place, one.status) for place, one in told] == [(3, "firing"), (5, "resolved")]
    assert state.phase == "inactive"
    assert told[0][1].started_ms == told[1][1].started_ms
    assert told[0][1].fingerprint == told[1][1].fingerprint


@pytest.mark.parametrize(("comparison", "value", "fires"), [
    (">", 1000.0, False), (">", 1000.001, True),
     (">=", 1000.0, True), (">=", 999.999, False), ("<", 1000.0, False), ("<=", 1000.0, True),
])  # fmt: skip
def test_it_fires_at_its_boundary_and_not_below(comparison: str, value: float, fires: bool) -> None:
    rule = msgspec.structs.replace(SLOW, comparison=comparison, for_s=0)
    assert bool(play(rule, [value])[0]) is fires


def test_a_short_breach_tells_nobody() -> None:
    assert play(SLOW, [1500, 1500, 900, 1500, 900])[0] == []


def test_no_data_keeps_the_state_or_is_a_breach_as_the_rule_says() -> None:
    rule = msgspec.structs.replace(SLOW, for_s=0)
    assert [one.status for _, one in play(rule, [1500, None, None])[0]] == ["firing"]
    assert [one.status for _, one in play(msgspec.structs.replace(rule, no_data="breach"), [900, None, 900])[0]] == [
        "firing", "resolved",
    ]  # fmt: skip


def test_what_flaps_is_told_once() -> None:
    rule = msgspec.structs.replace(SLOW, for_s=0, flaps=4)
    told, _ = play(rule, [1500.0, 900.0] * 25 + [900.0] * 70)
    assert len(told) <= 6
    assert told[-1][1].status == "resolved"


@pytest.mark.parametrize(("flaps", "ends"), [(6, [7, 21, 35, 109]), (8, [7, 21, 35, 49])])
def test_what_flaps_ends_when_an_hour_was_quiet(flaps: int, ends: list[int]) -> None:
    rule = msgspec.structs.replace(SLOW, for_s=0, flaps=flaps)
    told, _ = play(rule, ([1500.0] * 7 + [900.0] * 7) * 4 + [900.0] * 70)  # eight changes, the last at minute 49
    assert [place for place, one in told if one.status == "resolved"] == ends


def test_a_rule_may_allow_more_changes_than_usual() -> None:
    rule = msgspec.structs.replace(SLOW, for_s=0, flaps=30)
    told, _ = play(rule, [1500.0, 900.0] * 30 + [900.0] * 70)
    assert len(told) == 31 + 1
    assert told[-1][0] == 59 + 60


def test_after_a_resolve_it_cools_down() -> None:
    told, _ = play(msgspec.structs.replace(SLOW, for_s=0, cooldown_s=300), [1500, 900, *[1500] * 6])
    assert [place for place, _ in told] == [0, 1, 6]


@given(st.lists(st.sampled_from([900.0, 1500.0, None]), max_size=60), st.integers(0, 180), st.integers(0, 300))
def test_firings_and_resolves_alternate_and_have_ids_of_their_own(
    values: list[float | None], for_s: int, cool: int
) -> None:
    told, state = play(msgspec.structs.replace(SLOW, for_s=for_s, cooldown_s=cool), values)
    assert [one.status for _, one in told] == ["firing", "resolved"] * (len(told) // 2) + ["firing"] * (len(told) % 2)
    assert (state.phase == "firing") is (len(told) % 2 == 1)
    assert len({one.id for _, one in told}) == len(told)


def fired(rule: AlertRule, at: int = 0) -> AlertFired:
    _, told = observe(msgspec.structs.replace(rule, for_s=0), "m", AlertState(), T0 + at, 2000.0)
    assert told is not None
    made = event(rule, "m", told)
    assert isinstance(made, AlertFired)
    return made


def resolved(rule: AlertRule, at: int) -> AlertResolved:
    first = fired(rule)
    told = Transition(
        status="resolved", id=f"r{at}", fingerprint=first.fingerprint, started_ms=T0, time_ms=T0 + at, value=1.0
    )
    made = event(rule, "m", told)
    assert isinstance(made, AlertResolved)
    return made


def test_the_event_has_alertmanagers_shape() -> None:
    made = fired(SLOW)
    assert made.labels == {"alertname": "slow", "severity": "warning", "model": "m"}
    assert (made.startsAt, made.endsAt, made.status) == ("2018-11-14T00:00:00.000Z", "", "firing")
    assert "2000 ms" in made.annotations["summary"]
    assert resolved(SLOW, MINUTE).endsAt == "2018-11-14T00:01:00.000Z"


def test_causes_of_one_model_are_one_incident_until_the_last_one_ends() -> None:
    drift = msgspec.structs.replace(SLOW, name="drift", severity="critical")
    incident = hear(hear(None, fired(SLOW)), fired(drift, MINUTE))
    assert incident is not None
    assert (len(incident.causes), incident.severity) == (2, "critical")
    assert hear(incident, fired(drift, MINUTE)) == incident
    left = hear(incident, resolved(SLOW, 2 * MINUTE))
    assert left is not None
    assert left.closed_ms is None
    closed = hear(left, resolved(drift, 3 * MINUTE))
    assert closed is not None
    assert closed.closed_ms == T0 + 3 * MINUTE
    again = hear(closed, fired(SLOW, 9 * MINUTE))
    assert again is not None
    assert again.id != closed.id


def test_a_silence_hides_a_firing_until_it_ends_and_never_a_resolve_of_what_was_told() -> None:
    silence = Silence(matches={"model": "m"}, from_ms=T0, until_ms=T0 + 5 * MINUTE, by="ann")
    alert = fired(SLOW)
    state, why = route(SLOW, alert, T0, Route(), silences=[silence])
    assert why == "silenced"
    assert route(SLOW, resolved(SLOW, MINUTE), T0 + MINUTE, state, silences=[silence])[1] == "never told"
    state, why = route(SLOW, alert, T0 + 5 * MINUTE, state, silences=[silence])
    assert why == "told"
    later = Silence(matches={"model": "m"}, from_ms=T0, until_ms=T0 + 900 * MINUTE, by="ann")
    assert route(SLOW, resolved(SLOW, 6 * MINUTE), T0 + 6 * MINUTE, state, silences=[later])[1] == "told"


def test_a_repeat_waits_and_an_acknowledgement_ends_it() -> None:
    alert, incident = fired(SLOW), hear(None, fired(SLOW))
    assert incident is not None
    state, _ = route(SLOW, alert, T0, Route())
    assert route(SLOW, alert, T0 + MINUTE, state)[1] == "too soon"
    assert route(SLOW, alert, T0 + SLOW.repeat_s * 1000, state)[1] == "repeated"
    taken = acknowledge(incident, "ann")
    assert route(SLOW, alert, T0 + SLOW.repeat_s * 1000, state, incident=taken)[1] == "acknowledged"


@pytest.mark.parametrize("kept_back", ["silenced", "inhibited"])
def test_what_is_kept_back_keeps_back_no_repeat_of_another(kept_back: str) -> None:
    told = msgspec.structs.replace(SLOW, name="told", repeat_s=600)
    grave = msgspec.structs.replace(SLOW, name="grave", severity="critical", repeat_s=600)
    inhibition = Inhibition(source={"alertname": "told"}, target={"alertname": "grave"})
    silence = Silence(matches={"alertname": "grave"}, from_ms=T0, until_ms=T0 + 100 * MINUTE, by="me")
    policy = AlertPolicy(group_wait_s=0, inhibitions=(inhibition,) if kept_back == "inhibited" else ())
    paging = Paging(silences=(silence,) if kept_back == "silenced" else ())
    paging, _ = take(paging, told, fired(told))
    paging, _ = take(paging, grave, fired(grave, MINUTE))
    found = []
    for minute in range(35):
        paging, routed = page(paging, policy, T0 + minute * MINUTE)
        found += [(minute, one.labels["alertname"], one.why) for one in routed]
    assert found == [(0, "told", "told"), *((minute, "told", "repeated") for minute in (10, 20, 30))]


def test_a_grave_alert_inhibits_a_lesser_one_of_the_same_model() -> None:
    alert = fired(SLOW)
    inhibition = Inhibition(source={"severity": "critical"}, target={"severity": "warning"})
    for model, why in (("m", "inhibited"), ("other", "told")):
        firing = [{"alertname": "down", "severity": "critical", "model": model}, alert.labels]
        assert route(SLOW, alert, T0, Route(), inhibitions=[inhibition], firing=firing)[1] == why


def test_a_dead_mans_switch_fires_when_nothing_is_heard() -> None:
    switch = DeadMansSwitch(after_ms=MINUTE, heard_ms=T0).hear(T0 + MINUTE).hear(T0)
    assert not switch.is_silent(T0 + 2 * MINUTE - 1)
    assert switch.is_silent(T0 + 2 * MINUTE)


def test_a_rule_in_yaml_says_for() -> None:
    rule = msgspec.convert(
        {"name": "a", "metric": "b", "comparison": ">", "threshold": 1, "unit": "ms", "for": 60}, AlertRule
    )
    assert rule.for_s == 60
    with pytest.raises(msgspec.ValidationError, match="unknown field"):
        msgspec.convert(
            {"name": "a", "metric": "b", "comparison": ">", "threshold": 1, "unit": "ms", "four": 60}, AlertRule
        )
