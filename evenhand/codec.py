"""Bytes to events and back, and what identifies an event."""

from collections.abc import Callable
from hashlib import blake2b
from typing import Any, TypeVar

import msgspec

from evenhand.errors import InvalidEvent
from evenhand.reasons import reason
from evenhand.topics import TOPICS

MAX_EVENT_BYTES = 256 * 1024  # what an entry agent takes; an answer to it then fits in a record
T = TypeVar("T")
_encoder = msgspec.json.Encoder()
_decoders: dict[Any, msgspec.json.Decoder[Any]] = {}
_by_topic: dict[str, Callable[[bytes], Any]] = {}


class _NoType(msgspec.Struct, tag_field="type", tag=""):
    """Beside a single type in a union, so that msgspec asks for `type` there as it does among several."""

    def __post_init__(self) -> None:
        raise ValueError("no type")


def encode(event: msgspec.Struct) -> bytes:
    """An event as JSON bytes. The same event always gives the same bytes."""
    return _encoder.encode(event)


def decoder(*types: type[T]) -> msgspec.json.Decoder[T]:
    """A decoder for one of several event types, made once.

    >>> from evenhand.events import Ticked
    >>> decoder(Ticked).decode(b'{"type":"Ticked","id":"t","time":1500000000000,"key":"clock"}').time
    1500000000000
    """
    if types not in _decoders:
        union: Any = types[0] | _NoType if len(types) == 1 else types[0]
        for other in types[1:]:
            union = union | other
        _decoders[types] = msgspec.json.Decoder(union)
    return _decoders[types]


def decode(topic: str, value: bytes | None) -> Any:
    """The event in a record of a topic; InvalidEvent with a reason that its sender understands."""
    if not value:
        raise InvalidEvent("the record is empty: send one JSON object")
    if len(value) > MAX_EVENT_BYTES:
        raise InvalidEvent(f"the record has {len(value)} bytes, at most {MAX_EVENT_BYTES} are taken: send less")
    decode_value = _by_topic.get(topic)
    if decode_value is None:
        decode_value = _by_topic[topic] = decoder(*TOPICS[topic].events).decode
    try:
        return decode_value(value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidEvent(reason(topic, value, error)) from error


def stable_id(*causes: object) -> str:
    """An id that is a hash of its causes, so that a repeat has the same.

    >>> stable_id("scored", "r-1", 1) == stable_id("scored", "r-1", 1)
    True
    """
    return blake2b("\x1f".join(map(str, causes)).encode(), digest_size=12).hexdigest()


def digest(*parts: bytes) -> str:
    """A digest of bytes, 16 hexadecimal digits."""
    total = blake2b(digest_size=8)
    for part in parts:
        total.update(len(part).to_bytes(8, "big"))
        total.update(part)
    return total.hexdigest()
