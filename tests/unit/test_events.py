"""Events: what is accepted, what is refused, and that nothing is lost on the way through bytes."""

import math
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from evenhand import events
from evenhand.codec import decode, encode
from evenhand.errors import InvalidEvent
from evenhand.topics import OUTCOMES, REQUESTS, TOPICS
from schemas.structure import event_types
from tests.strategies import structs

REQUEST: dict[str, Any] = {
    "type": "PredictionRequested", "id": "r", "time": 1_500_000_000_000, "key": "k", "model": "m", "features": [1.0],
}  # fmt: skip
OUTCOME: dict[str, Any] = {"type": "OutcomeObserved", "id": "o", "time": 1_500_000_000_000, "key": "k", "value": 1.0}


def decoded(topic: str, event: dict[str, Any]) -> Any:
    return decode(topic, msgspec.json.encode(event))


@pytest.mark.parametrize("kind", event_types(), ids=lambda kind: kind.__name__)
@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_every_event_survives_its_bytes(kind: type[events.Event], data: st.DataObject) -> None:
    event = data.draw(structs(kind))
    value = encode(event)
    for topic in TOPICS.values():
        if kind in topic.events:
            assert decode(topic.name, value) == event
    assert encode(event) == value


@pytest.mark.parametrize(
    "change",
    [
        {"id": "x" * 256},
        {"id": "é" * 256},  # characters count, not bytes
        {"time": events.FIRST_MS},
        {"time": events.LAST_MS},
        {"horizon": 1},
        {"horizon": events.MAX_HORIZON},
        {"horizon": 1, "unit": None},
        {"features": [0]},
        {"features": [1.0] * 4096},
        {"features": {"a": 1, "b": -2.5e-300}},
        {"unit": "user-42"},
        {"a field of tomorrow": [1, {"x": None}]},
    ],
    ids=str,
)
def test_a_request_takes(change: dict[str, Any]) -> None:
    assert isinstance(decoded(REQUESTS, REQUEST | change), events.PredictionRequested)


@pytest.mark.parametrize(
    "change",
    [
        {"id": ""},
        {"id": "x" * 257},
        {"id": 7},
        {"id": None},
        {"key": ""},
        {"model": ""},
        {"time": events.FIRST_MS - 1},
        {"time": events.LAST_MS + 1},
        {"time": True},
        {"time": None},
        {"horizon": 0},
        {"horizon": events.MAX_HORIZON + 1},
        {"horizon": 1.5},
        {"features": []},
        {"features": {}},
        {"features": [1.0] * 4097},
        {"features": ["1.0"]},
        {"features": [None]},
        {"features": [[1.0]]},
        {"features": {"a": "1"}},
        {"features": {"": 1.0}},
        {"features": {"x" * 129: 1.0}},
        {"features": 1.0},
        {"unit": ""},
        {"unit": 7},
    ],
    ids=lambda change: str(change)[:40],
)
def test_a_request_refuses(change: dict[str, Any]) -> None:
    with pytest.raises(InvalidEvent, match=next(iter(change))):
        decoded(REQUESTS, REQUEST | change)


@pytest.mark.parametrize(
    ("change", "taken"),
    [
        ({"request_id": "r"}, True),
        ({"request_id": "r", "step": 2}, True),
        ({"target_time": 1_500_000_000_000}, True),
        ({"target_time": 1_500_000_000_000, "request_id": None}, True),
        ({}, False),
        ({"request_id": "r", "target_time": 1_500_000_000_000}, False),
        ({"target_time": 1_500_000_000_000, "step": 1}, False),
        ({"request_id": "r", "step": 0}, False),
        ({"request_id": "r", "value": None}, False),
        ({"target_time": 1_500_000_000}, False),
    ],
    ids=str,
)
def test_an_outcome_answers_one_request_or_one_time(change: dict[str, Any], *, taken: bool) -> None:
    try:
        decoded(OUTCOMES, OUTCOME | change)
    except InvalidEvent:
        assert not taken
    else:
        assert taken


def test_an_event_cannot_be_changed() -> None:
    event = events.Ticked(id="t", time=events.FIRST_MS, key="_clock")
    with pytest.raises(AttributeError):
        event.time = 1  # type: ignore[misc]


def test_defaults_are_left_out_of_the_bytes() -> None:
    event = events.Ticked(id="t", time=events.FIRST_MS, key="_clock")
    assert encode(event) == b'{"type":"Ticked","id":"t","time":946684800000,"key":"_clock"}'


def test_moments_are_short_and_keep_their_bits() -> None:
    moments = events.Moments(3, 0.1 + 0.2, math.ulp(1.0))
    value = msgspec.json.encode(moments)
    assert value == b"[3,0.30000000000000004,2.220446049250313e-16,0.0]"
    assert msgspec.json.decode(value, type=events.Moments) == moments
