"""Bytes that are no event: each is refused with a reason that tells its sender what to send instead."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from evenhand.codec import MAX_EVENT_BYTES, decode, digest, encode, stable_id
from evenhand.errors import InvalidEvent
from evenhand.events import PredictionRequested
from evenhand.topics import COMMANDS, EVIDENCE, OUTCOMES, REQUESTS, TOPICS

GOOD = b'{"type":"PredictionRequested","id":"a","time":1500000000000,"key":"k","model":"m","features":[1.0]}'
COMMAND = b'{"type":"CommandGiven","id":"a","time":1500000000000,"key":"k","model":"m","by":"x","command":%s}'
TIME = b"1500000000000"
DEEP = 60_000


def refusal(topic: str, value: bytes | None) -> str:
    with pytest.raises(InvalidEvent) as caught:
        decode(topic, value)
    return str(caught.value)


def test_the_good_one_is_good() -> None:
    assert decode(REQUESTS, GOOD) == PredictionRequested(
        id="a", time=1_500_000_000_000, key="k", model="m", features=[1.0]
    )


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        (None, "the record is empty: send one JSON object"),
        (b"", "the record is empty: send one JSON object"),
        (b" ", "not JSON: input data was truncated"),
        (GOOD[:-5], "not JSON: input data was truncated"),
        (GOOD + b"x", "not JSON: trailing characters (byte 100)"),
        (GOOD + GOOD, "not JSON: trailing characters (byte 100)"),
        (b"\x00\x01", "not JSON: invalid character (byte 0)"),
        (b"[]", "a JSON array, not an object: send one JSON object with `type`, `id`, `time` and `key`"),
        (b'"text"', "a JSON string, not an object: send one JSON object with `type`, `id`, `time` and `key`"),
        (b"null", "a JSON null, not an object: send one JSON object with `type`, `id`, `time` and `key`"),
        (b"7", "a JSON number, not an object: send one JSON object with `type`, `id`, `time` and `key`"),
        (b"\xff\xfe{\x00}\x00", "not UTF-8 at byte 0: send JSON in UTF-8"),
        (GOOD.replace(b'"a"', b'"\xff"'), "not UTF-8 at byte 36: send JSON in UTF-8"),
        (b"\xef\xbb\xbf" + GOOD, "begins with a byte order mark: send UTF-8 without one"),
        (b"{}", "no `type`: prediction-requests.v1 takes PredictionRequested"),
        (
            GOOD.replace(b"PredictionRequested", b"PredictionRequest"),
            "unknown `type` 'PredictionRequest': prediction-requests.v1 takes PredictionRequested, did you mean Pred",
        ),
        (
            GOOD.replace(b"PredictionRequested", b"OutcomeObserved"),
            "prediction-requests.v1 does not take OutcomeObserved: send it to outcomes.v1 or observations.v1",
        ),
        (GOOD.replace(TIME, b"1500000000"), "time 1500000000 looks like seconds: milliseconds are wanted"),
        (GOOD.replace(TIME, b"1500000000.25"), "time 1500000000.25 looks like seconds: milliseconds are wanted"),
        (GOOD.replace(TIME, TIME + b"000"), "time 1500000000000000 looks like microseconds: milliseconds are wanted"),
        (GOOD.replace(TIME, TIME + b"000000"), "time 1500000000000000000 looks like nanoseconds"),
        (GOOD.replace(TIME, b"7"), "time 7 is not between the years 2000 and 2100"),
        (
            GOOD.replace(TIME, TIME + b".0"),
            "time is 1500000000000.0: an integer is wanted, milliseconds UTC since 1970",
        ),
        (GOOD.replace(TIME, b'"2017-07-14T02:40:00Z"'), 'time is "2017-07-14T02:40:00Z": an integer is wanted'),
        (GOOD.replace(b"[1.0]", b"[1.0,NaN]"), "features[1] is NaN: JSON has finite numbers only"),
        (GOOD.replace(b"[1.0]", b'{"a":-Infinity}'), "features.a is -Infinity: JSON has finite numbers only"),
        (GOOD.replace(b"[1.0]", b"[1e999]"), "features[0] is out of the range of a 64-bit number"),
        (GOOD.replace(b"[1.0]", b"[null]"), "features[0] is null: expected float, got null"),
        (GOOD.replace(b"[1.0]", b"[true]"), "features[0] is true: expected float, got bool"),
        (GOOD.replace(b"[1.0]", b'{"":1}'), "a name in features: expected str of length >= 1"),
        (
            GOOD.replace(b'"key":"k",', b""),
            "key is missing: every PredictionRequested has type, id, time, key, model, features",
        ),
        (GOOD.replace(b'"key"', b'"keys"'), "key is missing, did you mean it by 'keys'?"),
        (GOOD[:-1] + b',"horizon":100}', "horizon is 100: expected int <= 64"),
        (GOOD[:-1] + b',"x":' + b"[" * DEEP + b"]" * DEEP + b"}", "nested too deep: send one flat JSON object"),
        (b"[" * DEEP, "prediction-requests.v1"),
        (b'{"type":' + b"[" * DEEP, "nested too deep"),
        (b'{"\\ud800":NaN,' + GOOD[1:], "\\ud800 is NaN"),
        (GOOD.replace(b"[1.0]", b"1" * 10_000), "out of range"),
        (GOOD[:-1] + b" " * MAX_EVENT_BYTES + b"}", "the record has 262243 bytes, at most 262144 are taken: send less"),
    ],
    ids=lambda value: str(value)[:50],
)
def test_the_reason_says_what_to_send(value: bytes | None, wanted: str) -> None:
    assert wanted.lower() in refusal(REQUESTS, value).lower()


@pytest.mark.parametrize(
    ("topic", "value", "wanted"),
    [
        (
            OUTCOMES,
            b'{"type":"OutcomeObserved","id":"a","time":1500000000000,"key":"k","value":1}',
            "give either request_id or target_time (schemas/OutcomeObserved.schema.json)",
        ),
        (
            OUTCOMES,
            b'{"type":"OutcomeObserved","id":"a","time":1500000000000,"key":"k","value":1,"target_time":1500003600}',
            "target_time 1500003600 looks like seconds",
        ),
        (
            COMMANDS,
            COMMAND % b'"start"',
            'command is "start": apply_configuration, start_experiment, stop_experiment, acknowledge, silence, ',
        ),
        (COMMANDS, COMMAND % b'"apply_configuration","served":{"wait_s":60}', "served.champion is missing"),
        (
            COMMANDS,
            COMMAND % b'"start_experiment","experiment":{"name":"n","model":"m","champion":"c","variants":[]}',
            "experiment 'n' needs at least two variants, it has []",
        ),
    ],
)
def test_the_reason_names_the_place(topic: str, value: bytes, wanted: str) -> None:
    assert wanted in refusal(topic, value)


@settings(max_examples=200, deadline=None)
@given(value=st.binary(max_size=200), topic=st.sampled_from(sorted(TOPICS)))
@example(value=b'{"type":"Ticked"', topic=EVIDENCE)
def test_any_bytes_are_an_event_or_refused(value: bytes, topic: str) -> None:
    assert refusal(topic, value)


@settings(max_examples=200, deadline=None)
@given(at=st.integers(0, len(GOOD) - 1), put=st.binary(max_size=4), gone=st.integers(0, 20))
def test_a_damaged_event_is_an_event_or_refused(at: int, put: bytes, gone: int) -> None:
    damaged = GOOD[:at] + put + GOOD[at + gone :]
    reason = "taken"
    try:
        decode(REQUESTS, damaged)
    except InvalidEvent as error:
        reason = str(error)
    assert 0 < len(reason) <= 500
    assert reason.encode()  # a dead letter can carry it


def test_a_reason_is_short_whatever_was_sent() -> None:
    assert len(refusal(REQUESTS, GOOD.replace(b"PredictionRequested", b"F" * 200_000))) <= 500
    assert len(refusal(REQUESTS, GOOD.replace(b'"key"', b'"' + b"k" * 200_000 + b'"'))) <= 500


def test_equal_events_have_equal_bytes() -> None:
    event = decode(REQUESTS, GOOD)
    assert encode(event) == GOOD == encode(decode(REQUESTS, encode(event)))


def test_ids_and_digests_stay_what_they_are() -> None:
    """They stand in logs that are replayed: golden values."""
    assert stable_id("scored", "r-1", 1) == "c6a754e9cd690db721e2a4c3"
    assert stable_id("scored", "r-1", 2) != stable_id("scored", "r-1", 1)
    assert digest(b"a", b"b") == "235870420603e322"
    assert digest(b"ab") != digest(b"a", b"b")
