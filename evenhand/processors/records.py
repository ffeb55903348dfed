"""Records of one topic that are decoded once, however many agents read them."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Self

import msgspec

from evenhand.codec import decoder
from evenhand.errors import InvalidEvent
from evenhand.events import MAX_HORIZON, PredictionMade
from evenhand.finite import LARGEST
from evenhand.processors.base import Record
from evenhand.reasons import reason
from evenhand.topics import PREDICTIONS, TOPICS

Decode = Callable[[bytes], Any]
LONGEST_S = 2**40  # of a wait or a grace: milliseconds of it fit in what keeps them
_decode: Decode = decoder(*TOPICS[PREDICTIONS].events).decode


class Records(list[Record]):
    """Records, and what stands in them from the first time that somebody asks. All who ask decode in the same way.

    >>> from evenhand.offline import MemoryRecord
    >>> read = Records([MemoryRecord(0, 0, None, b"[1]", []), MemoryRecord(1, 0, None, b"[2]", [])])
    >>> import msgspec
    >>> decoded(read, msgspec.json.decode), decoded(read, lambda _: "not asked again")
    ([[1], [2]], [[1], [2]])
    """

    __slots__ = ("_events", "_parts")

    def __init__(self, records: Iterable[Record], parts: Sequence[Sequence[Record]] = ()) -> None:
        super().__init__(records)
        self._parts = parts
        self._events: list[Any] | None = None

    @classmethod
    def joined(cls, parts: Sequence[Sequence[Record]]) -> Self:
        """Several one after the other, which decode together and keep what they know."""
        return cls([record for part in parts for record in part], parts)

    def events(self, decode: Decode) -> list[Any]:
        """What stands in them, in order."""
        if self._events is None:
            if self._parts:
                self._events = [event for part in self._parts for event in decoded(part, decode)]
            else:
                self._events = [decode(record.value or b"") for record in self]
        return self._events


def decoded(records: Sequence[Record], decode: Decode) -> list[Any]:
    """The events in records; of `Records` those that are known."""
    return records.events(decode) if isinstance(records, Records) else [decode(r.value or b"") for r in records]


def read_prediction(value: bytes) -> Any:
    """What stands in a record of predictions, which users' own model servers write, too; InvalidEvent for what is none.

    >>> str(read_prediction(b"{}"))
    'no `type`: predictions.v1 takes PredictionMade'
    """
    try:
        event = _decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return InvalidEvent(reason(PREDICTIONS, value, error))
    wrong = _wrong(event) if type(event) is PredictionMade else ""
    return InvalidEvent(wrong) if wrong else event


def _wrong(event: PredictionMade) -> str:
    """What no schema says."""
    if len(event.values) > MAX_HORIZON:
        return f"values has {len(event.values)} steps: at most {MAX_HORIZON} are taken"
    if len(event.target_times) > max(1, len(event.values)):
        return f"target_times has {len(event.target_times)} entries, values {len(event.values)}: one a step is wanted"
    numbers = [*event.values, *event.confidence]
    for shadow in event.shadows:
        numbers += shadow.values
    for interval in event.intervals or ():
        numbers += interval
    if numbers and not (min(numbers) >= -LARGEST and max(numbers) <= LARGEST):  # JSON has no NaN
        return f"a value, confidence or interval is beyond {LARGEST:g}: send it in another unit or leave it out"
    if not -LONGEST_S <= event.wait_s <= LONGEST_S or not -LONGEST_S <= event.grace_s <= LONGEST_S:
        return f"wait_s {event.wait_s} or grace_s {event.grace_s} is no time: seconds are wanted"
    return ""
