"""What holds of every drift detector, whatever it looks at."""

from typing import Any

import msgspec
import numpy as np
import pytest

from evenhand.drift import Detector, detector, kinds
from evenhand.errors import EvenhandError, InvalidConfiguration

RNG = np.random.default_rng


def stream(one: Detector[Any], n: int, *, changed: bool, seed: int) -> Any:
    rng = RNG(seed)
    match one.takes:
        case "errors":
            return (rng.random(n) < (0.7 if changed else 0.3)).astype(float)
        case "categories":
            return [
                str(value) for value in rng.choice(list("abc"), n, p=[0.2, 0.6, 0.2] if changed else [0.5, 0.3, 0.2])
            ]
        case _:
            return rng.normal(2.0 if changed else 0.0, 1, n)


@pytest.fixture(params=kinds())
def one(request: pytest.FixtureRequest) -> Detector[Any]:
    return detector(request.param)


def started(one: Detector[Any]) -> Any:
    return one.start(stream(one, 3000, changed=False, seed=1)) if one.needs_reference else one.start()


def test_a_change_is_found_and_stays_found(one: Detector[Any]) -> None:
    state = one.update(started(one), stream(one, 200, changed=False, seed=2))
    for part in range(4):
        state = one.update(state, stream(one, 1000, changed=True, seed=3 + part))
    verdict = one.verdict(state)
    assert verdict.drifted
    assert verdict.findings[0].cause
    assert verdict.alarm_at == verdict.seen == state.alarm_at
    assert one.update(state, stream(one, 100, changed=False, seed=9)) == state


def test_a_state_is_plain_json_and_goes_on_as_before(one: Detector[Any]) -> None:
    state = one.update(started(one), stream(one, 120, changed=False, seed=4))
    text = msgspec.json.encode(state)
    again = msgspec.json.decode(text, type=one.state)
    more = stream(one, 60, changed=True, seed=5)
    assert again == state
    assert msgspec.json.encode(one.update(again, more)) == msgspec.json.encode(one.update(state, more))
    assert msgspec.json.encode(state) == text, "an update changed the state that it was given"


@pytest.mark.parametrize("size", [4, 36, 100])
def test_how_events_are_batched_changes_nothing(one: Detector[Any], size: int) -> None:
    assert size % one.batch_multiple == 0
    events = [*stream(one, 200, changed=False, seed=6), *stream(one, 600, changed=True, seed=7)]
    whole, parts = one.update(started(one), events), started(one)
    for place in range(0, len(events), size):
        parts = one.update(parts, events[place : place + size])
    assert msgspec.json.encode(parts) == msgspec.json.encode(whole)


def test_no_events_change_nothing(one: Detector[Any]) -> None:
    state = started(one)
    assert one.update(state, []) == state
    assert not one.verdict(state).drifted


def test_parameters_that_are_unknown_or_out_of_range_are_refused(one: Detector[Any]) -> None:
    with pytest.raises(InvalidConfiguration, match="unknown field `sensitivity`"):
        detector(one.kind, {"sensitivity": 1})
    with pytest.raises(InvalidConfiguration, match=one.kind):
        detector(one.kind, {one.__struct_fields__[0]: -1})


def test_a_missing_reference_is_refused_by_those_who_need_one(one: Detector[Any]) -> None:
    if one.needs_reference:
        with pytest.raises(InvalidConfiguration, match="at least"):
            one.start()
    else:
        assert one.start(stream(one, 50, changed=False, seed=8)).seen == 50


def test_numbers_that_are_none_are_refused(one: Detector[Any]) -> None:
    if one.takes == "categories":
        assert one.update(started(one), ["never seen"]).seen == 1
        return
    with pytest.raises(EvenhandError, match="NaN"):
        one.update(started(one), [0.0, float("nan")])


def test_an_unknown_detector_is_named_with_those_that_there_are() -> None:
    with pytest.raises(InvalidConfiguration, match="rank_legendre"):
        detector("rank_legendary")
