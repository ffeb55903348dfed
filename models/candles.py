"""Candles: what one is, and many of them as arrays.

`open_time` is the start of a candle; its close is known one interval later, and so is everything computed from it.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

PRICES = ("open", "high", "low", "close")


class Candle(NamedTuple):
    """One closed candle; `open_time` in ms UTC."""

    open_time: int
    open: float
    high: float
    low: float
    close: float
    volume: float


@dataclass(frozen=True, slots=True)
class Candles:
    """Candles in order of time, one array a column; `interval_ms` is the length of each."""

    open_time: npt.NDArray[np.int64]
    open: npt.NDArray[np.float64]
    high: npt.NDArray[np.float64]
    low: npt.NDArray[np.float64]
    close: npt.NDArray[np.float64]
    volume: npt.NDArray[np.float64]
    interval_ms: int

    def __len__(self) -> int:
        """How many candles there are."""
        return len(self.open_time)

    def __iter__(self) -> Iterator[Candle]:
        """Candle by candle, as plain Python numbers."""
        columns = (self.open_time, self.open, self.high, self.low, self.close, self.volume)
        return map(Candle, *(column.tolist() for column in columns))

    def slice(self, start: int, stop: int) -> "Candles":
        """Candles `start` to `stop`, without a copy."""
        part = slice(start, stop)
        return Candles(
            self.open_time[part],
            self.open[part],
            self.high[part],
            self.low[part],
            self.close[part],
            self.volume[part],
            self.interval_ms,
        )

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
        return whole.hexdigest()
