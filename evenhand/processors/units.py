"""Units that have been counted, so that each is counted once for the sample ratio, whatever it asks afterwards.

A unit stays with its variant, so that its requests are one draw, not many. Where a unit is a request, there is nothing
to remember. A unit with many requests is counted by the one partition that its name hashes to, if it is seen there:
never twice, and whether it is seen has nothing to do with its variant. Eight bytes of state a unit.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from hashlib import blake2b

from evenhand.experiments.evidence import Exposure
from evenhand.partitioning import partition_of

UNITS_ROW = b"u/"
_SIZE = 8


class Units:
    """The units that a partition has counted, by experiment and by the epoch in which it did."""

    def __init__(self, partition: int, partitions: int) -> None:
        self._partition, self._partitions = partition, partitions
        self._seen: dict[str, set[bytes]] = defaultdict(set)
        self._rows: dict[str, dict[bytes, bytes]] = defaultdict(dict)

    def load(self, rows: Iterable[tuple[bytes, bytes]]) -> None:
        """Take over rows; others than its own are passed over."""
        for key, value in rows:
            if key.startswith(UNITS_ROW):
                subject = key.removeprefix(UNITS_ROW).decode().rsplit("/", 1)[0]
                self._rows[subject][key] = value
                self._seen[subject].update(value[at : at + _SIZE] for at in range(0, len(value), _SIZE))

    def rows(self) -> Iterator[tuple[bytes, bytes]]:
        """All that is remembered."""
        for rows in self._rows.values():
            yield from rows.items()

    def count(
        self, subject: str, epoch: int, exposures: Mapping[str, Exposure]
    ) -> tuple[list[Exposure], dict[bytes, bytes | None]]:
        """Those exposures (by request) that are the first of their unit, and the rows that changed."""
        counted, fresh, seen = [], bytearray(), self._seen[subject]
        for _, _, exposure in sorted((each.time, request, each) for request, each in exposures.items()):
            if exposure.unit:
                if partition_of(exposure.unit, self._partitions) != self._partition:
                    continue
                short = blake2b(exposure.unit.encode(), digest_size=_SIZE).digest()
                if short in seen:
                    continue
                seen.add(short)
                fresh += short
            counted.append(exposure)
        if not fresh:
            return counted, {}
        row = UNITS_ROW + f"{subject}/{epoch}".encode()
        self._rows[subject][row] = bytes(fresh)
        return counted, {row: bytes(fresh)}

    def forget(self, subject: str) -> dict[bytes, bytes | None]:
        """Forget an experiment that is over; the rows that go."""
        self._seen.pop(subject, None)
        return dict.fromkeys(self._rows.pop(subject, {}))
