"""Williams %R: -100 x (highest high - close) / (highest high - lowest low) (Williams 1973). -100 to 0."""

import math
from typing import Annotated, ClassVar

import msgspec
import numpy as np
from msgspec import Meta

from models.candles import Candle, Candles
from models.features.base import NAN, Feature, FloatArray
from models.features.windows import Greatest, rolling_greatest, rolling_least


class HighLow(msgspec.Struct):
    """The extremes of the window."""

    high: Greatest
    low: Greatest


class WilliamsR(Feature[HighLow], frozen=True, forbid_unknown_fields=True):
    """How far the close stands below the highest high; -50 where nothing moves (TA-Lib says 0)."""

    kind: ClassVar[str] = "williams_r"
    candles: Annotated[int, Meta(ge=2, le=10_000)] = 14

    @property
    def name(self) -> str:
        return f"williams_r_{self.candles}"

    @property
    def warm_up(self) -> int:
        return self.candles - 1

    def start(self) -> HighLow:
        return HighLow(Greatest(self.candles), Greatest(self.candles))

    def step(self, state: HighLow, candle: Candle) -> float:
        high, low = state.high.push(candle.high), -state.low.push(-candle.low)
        if math.isnan(high):
            return NAN
        return -100.0 * (high - candle.close) / (high - low) if high > low else -50.0

    def batch(self, candles: Candles) -> FloatArray:
        high, low = rolling_greatest(candles.high, self.candles), rolling_least(candles.low, self.candles)
        flat = high == low
        values: FloatArray = np.where(flat, -50.0, -100.0 * (high - candles.close) / np.where(flat, 1.0, high - low))
        return values
