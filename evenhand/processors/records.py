"""Records of one topic that are decoded once, however many agents read them."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Self

from evenhand.processors.base import Record

Decode = Callable[[bytes], Any]


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
