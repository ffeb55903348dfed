"""Units that have been counted, so that each is counted once for the sample ratio, whatever it asks afterwards.

A unit stays with its variant, so that its requests are one draw, not many. Where a unit is a request, there is nothing
to remember. A unit with many requests is counted by the one partition that its name hashes to, if it is seen there:
never twice, and whether it is seen has nothing to do with its variant, whose hash is another one. What that costs is
power, where each unit asks about one key only: then one unit in so many partitions is counted. Eight bytes of state a
unit and control.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from hashlib import blake2b
from typing import NamedTuple

from evenhand.experiments.evidence import Exposure
from evenhand.partitioning import partitions_of

UNITS_ROW, CROSSED_ROW = b"u/", b"x/"
_SIZE = 8


class Counted(NamedTuple):
    """An epoch's exposures (by request) that are the first of their unit; how many units crossed, by control; rows.

    A unit crosses when under one control a second variant answers it. A ramp may move it, for that is another control.
    """

    firsts: list[tuple[str, Exposure]]
    crossed: Counter[str]
    rows: dict[bytes, bytes | None]


class Units:
    """The units that a partition has counted, by experiment: who answered them last, and under which control."""

    def __init__(self, partition: int, partitions: int) -> None:
        self._partition, self._partitions = partition, partitions
        self._seen: dict[str, dict[bytes, tuple[str, str]]] = defaultdict(dict)
        self._crossed: dict[str, set[bytes]] = defaultdict(set)
        self._rows: dict[str, dict[bytes, bytes]] = defaultdict(dict)

    def load(self, rows: Iterable[tuple[bytes, bytes]]) -> None:
        """Take over rows; others than its own are passed over."""
        held = [(key, value) for key, value in rows if key.startswith((UNITS_ROW, CROSSED_ROW))]
        for key, value in sorted(held, key=lambda row: int(row[0].split(b"/")[2])):
            kind, subject, _, variant, control = key.decode().split("/")
            self._rows[subject][key] = value
            units = [value[at : at + _SIZE] for at in range(0, len(value), _SIZE)]
            if kind == "x":
                self._crossed[subject].update(units)
            else:
                self._seen[subject].update(dict.fromkeys(units, (variant, control)))

    def rows(self) -> Iterator[tuple[bytes, bytes]]:
        """All that is remembered."""
        for rows in self._rows.values():
            yield from rows.items()

    def count(self, subject: str, epoch: int, exposures: Mapping[str, Exposure]) -> Counted:
        """Take the exposures of an epoch."""
        firsts: list[tuple[str, Exposure]] = []
        crossed, fresh = Counter[str](), defaultdict[bytes, bytearray](bytearray)
        seen, known_crossed = self._seen[subject], self._crossed[subject]
        names = [each.unit.encode() for each in exposures.values()]
        homes = partitions_of(names, self._partitions)
        every = zip(exposures.items(), names, homes, strict=True)
        for _, request, exposure, name, home in sorted((of[1].time, *of, name, home) for of, name, home in every):
            if not name:
                firsts.append((request, exposure))
                continue
            if home != self._partition:
                continue
            short = blake2b(name, digest_size=_SIZE).digest()
            now, before = (exposure.variant, exposure.control), seen.get(short)
            if before == now:
                continue
            place = f"{subject}/{epoch}/{exposure.variant}/{exposure.control}".encode()
            if before is None:
                firsts.append((request, exposure))
            elif before[1] == exposure.control:
                if short not in known_crossed:
                    known_crossed.add(short)
                    crossed[exposure.control] += 1
                    fresh[CROSSED_ROW + place] += short
                continue
            seen[short] = now
            fresh[UNITS_ROW + place] += short
        rows = {key: bytes(value) for key, value in fresh.items()}
        self._rows[subject].update(rows)
        return Counted(firsts, crossed, dict(rows))

    def forget(self, subject: str) -> dict[bytes, bytes | None]:
        """Forget an experiment that is over; the rows that go."""
        self._seen.pop(subject, None)
        self._crossed.pop(subject, None)
        return dict.fromkeys(self._rows.pop(subject, {}))
