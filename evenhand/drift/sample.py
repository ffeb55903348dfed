"""A uniform sample of events that partitions can add up: the events with the least hashes of their ids."""

from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import Annotated

import msgspec
from msgspec import Meta

Value = float | str


class Row(msgspec.Struct, frozen=True, array_like=True, order=True, gc=False):
    """One event: the hash of its id, its time, and its features."""

    hash: str
    time: int
    values: tuple[Value, ...]


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """At most `size` of `seen` events. Which ones depends on their ids alone, not on order, batch or partition."""

    size: Annotated[int, Meta(ge=1)]
    features: tuple[str, ...]
    seen: int = 0
    rows: tuple[Row, ...] = ()

    def add(self, ids: Sequence[str], times: Sequence[int], columns: Mapping[str, Sequence[Value]]) -> "Sample":
        """With more events; an id is expected once. About a microsecond an event."""
        values = zip(*(columns[name] for name in self.features), strict=True)
        fresh = [Row(_hash(id_), time, row) for id_, time, row in zip(ids, times, values, strict=True)]
        return self._of(self.seen + len(fresh), [*self.rows, *fresh])

    def merge(self, other: "Sample") -> "Sample":
        """Of both together."""
        return self._of(self.seen + other.seen, [*self.rows, *other.rows])

    def columns(self) -> dict[str, list[Value]]:
        """Feature by feature, in order of time."""
        ordered = sorted(self.rows, key=lambda row: (row.time, row.hash))
        return {name: [row.values[place] for row in ordered] for place, name in enumerate(self.features)}

    def _of(self, seen: int, rows: list[Row]) -> "Sample":
        return Sample(size=self.size, features=self.features, seen=seen, rows=tuple(sorted(rows)[: self.size]))


def _hash(id_: str) -> str:
    return blake2b(id_.encode(), digest_size=8).hexdigest()
