"""Candles: what one is, and many of them as arrays.

`open_time` is the start of a candle; its close is known one interval later, and so is everything computed from it.
"""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from evenhand.errors import InvalidConfiguration

PRICES = ("open", "high", "low", "close")
_WHOLE = ("interval_ms", "others")
_ALONE: Mapping[str, "Candle"] = MappingProxyType({})


class Candle(NamedTuple):
    """One closed candle; `open_time` in ms UTC. `others` holds the candles of other series that closed with it."""

    open_time: int
    open: float
    high: float
    low: float
    close: float
    volume: float
    others: Mapping[str, "Candle"] = _ALONE


@dataclass(frozen=True, slots=True)
class Candles:
    """Candles in order of time, one array a column; `interval_ms` is the length of each.

    `others` holds other series by name, with the same open times: `beside` joins them.
    """

    open_time: npt.NDArray[np.int64]
    open: npt.NDArray[np.float64]
    high: npt.NDArray[np.float64]
    low: npt.NDArray[np.float64]
    close: npt.NDArray[np.float64]
    volume: npt.NDArray[np.float64]
    interval_ms: int
    others: Mapping[str, "Candles"] = field(default_factory=dict)

    def __len__(self) -> int:
        """How many candles there are."""
        return len(self.open_time)

    def __iter__(self) -> Iterator[Candle]:
        """Candle by candle, as plain Python numbers."""
        columns = (self.open_time, self.open, self.high, self.low, self.close, self.volume)
        plain = map(Candle, *(column.tolist() for column in columns))
        if not self.others:
            return plain
        beside = zip(*self.others.values(), strict=True)
        return (
            one._replace(others=dict(zip(self.others, rest, strict=True)))
            for one, rest in zip(plain, beside, strict=True)
        )

    def rows(self, which: "slice | npt.NDArray[np.bool_]") -> "Candles":
        """Only these rows, of the other series, too; a slice makes no copy."""
        columns = {each.name: getattr(self, each.name)[which] for each in fields(self) if each.name not in _WHOLE}
        return replace(self, **columns, others={name: other.rows(which) for name, other in self.others.items()})

    def slice(self, start: int, stop: int) -> "Candles":
        """Candles `start` to `stop`, without a copy."""
        return self.rows(slice(start, stop))

    def beside(self, **others: "Candles") -> "Candles":
        """Return these candles with other series beside them, at the times that all of them have.

        A candle that one series lacks is a gap for all: nothing is filled in.
        """
        for name, other in others.items():
            if other.interval_ms != self.interval_ms:
                raise InvalidConfiguration(
                    f"candles of {name!r} are {other.interval_ms} ms long, these {self.interval_ms} ms: resample one"
                )
        common = self.open_time
        for other in others.values():
            common = np.intersect1d(common, other.open_time)
        joined = {name: other.rows(np.isin(other.open_time, common)) for name, other in others.items()}
        whole = self.rows(np.isin(self.open_time, common))
        return replace(whole, others={**whole.others, **joined})

    def closed_by(self, time_ms: int) -> "Candles":
        """Only the candles whose close was known at `time_ms`."""
        return self.slice(0, int(np.searchsorted(self.open_time, time_ms - self.interval_ms, side="right")))

    def runs(self) -> list[tuple[int, int]]:
        """Return the unbroken runs as (start, stop): a run ends where a candle is missing."""
        if len(self) == 0:
            return []
        breaks = (np.flatnonzero(np.diff(self.open_time) != self.interval_ms) + 1).tolist()
        return list(zip([0, *breaks], [*breaks, len(self)], strict=True))

    def digest(self) -> str:
        """SHA-256 of the numbers, whatever the file that they came from."""
        whole = hashlib.sha256(str(self.interval_ms).encode())
        whole.update(self.open_time.astype("<i8").tobytes())
        for name in (*PRICES, "volume"):
            whole.update(getattr(self, name).astype("<f8").tobytes())
        for name in sorted(self.others):
            whole.update(f"{name}:{self.others[name].digest()}".encode())
        return whole.hexdigest()
