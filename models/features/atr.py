"""Average true range, smoothed as Wilder does (1978). Unit: price; relative: fraction of the close."""

from typing import Annotated, ClassVar

import msgspec
import numpy as np
from msgspec import Meta

from models.candles import Candle, Candles
from models.features.base import NAN, Feature, FloatArray
from models.features.changes import true_range, true_ranges
from models.features.recursions import Smoothed, smooth, wilder


class Ranges(msgspec.Struct):
    """The mean range, and the close that the next range starts from."""

    mean: Smoothed
    last: float | None = None


class AverageTrueRange(Feature[Ranges], frozen=True, forbid_unknown_fields=True):
    """The mean of the last true ranges; with `relative`, as a fraction of the close."""

    kind: ClassVar[str] = "atr"
    candles: Annotated[int, Meta(ge=2, le=10_000)] = 14
    relative: bool = False

    @property
    def name(self) -> str:
        return f"atr_{self.candles}" + "_relative" * self.relative

    @property
    def warm_up(self) -> int:
        return self.candles

    def start(self) -> Ranges:
        return Ranges(Smoothed(self.candles, wilder(self.candles)))

    def step(self, state: Ranges, candle: Candle) -> float:
        if state.last is None:
            state.last = candle.close
            return NAN
        value = state.mean.push(true_range(candle, state.last))
        state.last = candle.close
        return value / candle.close if self.relative else value

    def batch(self, candles: Candles) -> FloatArray:
        values = np.full(len(candles), NAN)
        values[1:] = smooth(true_ranges(candles), self.candles, wilder(self.candles))
        return values / candles.close if self.relative else values
