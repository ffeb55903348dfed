"""Stochastic oscillator: where the close stands between the lowest low and the highest high (Lane 1957). 0 to 100."""

import math
from typing import Annotated, ClassVar, Literal

import msgspec
import numpy as np
from msgspec import Meta

from models.candles import Candle, Candles
from models.features.base import NAN, Feature, FloatArray
from models.features.windows import Greatest, Window, rolling_greatest, rolling_least, rolling_mean


class Extremes(msgspec.Struct):
    """The window's extremes, and what is being smoothed."""

    high: Greatest
    low: Greatest
    k: Window
    d: Window


def stands(candles: Candles, size: int) -> FloatArray:
    """Where each close stands between the extremes of the last `size` candles, 0 to 100."""
    high, low = rolling_greatest(candles.high, size), rolling_least(candles.low, size)
    flat = high == low
    values: FloatArray = np.where(flat, 50.0, 100.0 * (candles.close - low) / np.where(flat, 1.0, high - low))
    return values


class Stochastic(Feature[Extremes], frozen=True, forbid_unknown_fields=True):
    """The raw value smoothed over `smooth` candles (`k`), and once more (`d`); 50 where nothing moves (TA-Lib: 0)."""

    kind: ClassVar[str] = "stochastic"
    candles: Annotated[int, Meta(ge=2, le=10_000)] = 5
    smooth: Annotated[int, Meta(ge=1, le=1_000)] = 3
    line: Literal["k", "d"] = "k"

    @property
    def name(self) -> str:
        return f"stochastic_{self.candles}_{self.smooth}_{self.line}"

    @property
    def warm_up(self) -> int:
        return self.candles - 1 + (self.smooth - 1) * (2 if self.line == "d" else 1)

    def start(self) -> Extremes:
        return Extremes(Greatest(self.candles), Greatest(self.candles), Window(self.smooth), Window(self.smooth))

    def step(self, state: Extremes, candle: Candle) -> float:
        high, low = state.high.push(candle.high), -state.low.push(-candle.low)
        if math.isnan(high):
            return NAN
        state.k.push(100.0 * (candle.close - low) / (high - low) if high > low else 50.0)
        if not state.k.full or self.line == "k":
            return state.k.moments[1] if state.k.full else NAN
        state.d.push(state.k.moments[1])
        return state.d.moments[1] if state.d.full else NAN

    def batch(self, candles: Candles) -> FloatArray:
        values = np.full(len(candles), NAN)
        k = rolling_mean(stands(candles, self.candles)[self.candles - 1 :], self.smooth)
        if self.line == "d":
            k[self.smooth - 1 :] = rolling_mean(k[self.smooth - 1 :], self.smooth)
        values[self.candles - 1 :] = k
        return values
