"""What an open epoch of an experiment holds: entries by id, as state rows of the batches that brought them."""

from collections.abc import Iterator

import msgspec

from evenhand.experiments.evidence import Exposure, Pair
from evenhand.experiments.served import Measured

Place = tuple[str, int, int, int]  # topic, partition, first and last offset


class Entries(msgspec.Struct, array_like=True):
    """What one batch added to an open epoch, and where it lies."""

    exposures: dict[str, Exposure]
    pairs: dict[str, Pair]
    place: Place
    measured: dict[str, Measured] = {}


class Epoch:
    """An open epoch of a subject: its entries by id, their places, and the state rows that hold them."""

    __slots__ = ("exposures", "measured", "pairs", "places", "rows")

    def __init__(self) -> None:
        self.exposures: dict[str, Exposure] = {}
        self.pairs: dict[str, Pair] = {}
        self.measured: dict[str, Measured] = {}
        self.places: dict[tuple[str, int], list[int]] = {}
        self.rows: list[bytes] = []

    def __bool__(self) -> bool:
        return bool(self.exposures or self.pairs or self.measured)

    def add(self, row: bytes, entries: Entries) -> None:
        """Take entries that its rows hold."""
        self.exposures.update(entries.exposures)
        for pair_id, pair in entries.pairs.items():
            if pair.time:
                self.pairs[pair_id] = pair
            else:
                self.pairs.pop(pair_id, None)
        self.measured.update(entries.measured)
        topic, partition, first, last = entries.place
        span = self.places.setdefault((topic, partition), [first, last])
        span[0], span[1] = min(span[0], first), max(span[1], last)
        self.rows.append(row)

    def divided(self) -> Iterator[tuple[bytes, bytes]]:
        """All entries, over the same rows: each is about as large as the batch that it once held."""
        exposures, pairs, share = list(self.exposures.items()), list(self.pairs.items()), len(self.rows)
        measured = list(self.measured.items())
        (topic, partition), (first, last) = next(iter(self.places.items()))
        for i, row in enumerate(self.rows):
            part = Entries(
                dict(exposures[i::share]), dict(pairs[i::share]), (topic, partition, first, last),
                dict(measured[i::share]),
            )  # fmt: skip
            yield row, msgspec.msgpack.encode(part)
