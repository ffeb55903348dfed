"""A sample that grows event by event: of each cluster one row, and of the clusters those with the least hashes."""

from bisect import bisect_left, insort
from collections.abc import Iterable
from functools import lru_cache
from hashlib import blake2b

from evenhand.events import SampledRow

_LAST = "g"  # after every hexadecimal digit


class Lowest:
    """At most `size` rows. Which ones, and which row of a cluster, depends neither on order, repeats nor partitions.

    >>> one, two, both = Lowest(2), Lowest(2), Lowest(2)
    >>> rows = [SampledRow(cluster_hash(name), 7, (1.0,)) for name in "abcde"]
    >>> _ = [one.add(row) for row in rows[:3]], [two.add(row) for row in rows[3:]], [both.add(row) for row in rows]
    >>> merged([one.rows(), two.rows()], 2) == both.rows()
    True
    """

    __slots__ = ("_by_hash", "_hashes", "_size", "limit")

    def __init__(self, size: int) -> None:
        self._size = size
        self._hashes: list[str] = []
        self._by_hash: dict[str, SampledRow] = {}
        self.limit = _LAST

    def add(self, row: SampledRow) -> bool:
        """Take a row; whether the sample has changed. One whose hash is not below `limit` changes nothing."""
        if row.hash > self.limit:
            return False
        held = self._by_hash.get(row.hash)
        if held is not None:
            if held <= row:
                return False
            self._by_hash[row.hash] = row
            return True
        insort(self._hashes, row.hash)
        self._by_hash[row.hash] = row
        if len(self._hashes) > self._size:
            del self._by_hash[self._hashes.pop()]
        if len(self._hashes) == self._size:
            self.limit = self._hashes[-1]
        return row.hash in self._by_hash

    def wants(self, cluster: str, time: int) -> bool:
        """Whether a row of that hash and time may change the sample: a cheap question before the row is read."""
        if cluster > self.limit:
            return False
        held = self._by_hash.get(cluster)
        return held is None or time <= held.time

    def rows(self) -> tuple[SampledRow, ...]:
        """The rows, by hash."""
        return tuple(self._by_hash[each] for each in self._hashes)

    def __contains__(self, cluster: str) -> bool:
        place = bisect_left(self._hashes, cluster)
        return place < len(self._hashes) and self._hashes[place] == cluster


def merged(samples: Iterable[Iterable[SampledRow]], size: int) -> tuple[SampledRow, ...]:
    """The sample of all partitions together: the same as one would have taken that had seen everything."""
    lowest = Lowest(size)
    for sample in samples:
        for row in sample:
            lowest.add(row)
    return lowest.rows()


@lru_cache(65_536)
def cluster_hash(name: str) -> str:
    """Sixteen hexadecimal digits."""
    return blake2b(name.encode(), digest_size=8).hexdigest()
