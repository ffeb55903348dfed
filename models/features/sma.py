"""Simple moving average: the mean of the last closes. Unit: price; relative: fraction, natural log."""

import math
from typing import Annotated, ClassVar

import numpy as np
from msgspec import Meta

from models.candles import Candle, Candles
from models.features.base import NAN, Feature, FloatArray
from models.features.windows import Window, rolling_mean


class SimpleMovingAverage(Feature[Window], frozen=True, forbid_unknown_fields=True):
    """The mean of the last `candles` closes.

    A price; with `relative`, how far the close stands above it: ln(close / it), which a model can learn from.
    """

    kind: ClassVar[str] = "sma"
    candles: Annotated[int, Meta(ge=2, le=10_000)] = 20
    relative: bool = False

    @property
    def name(self) -> str:
        return f"sma_{self.candles}" + "_relative" * self.relative

    @property
    def warm_up(self) -> int:
        return self.candles - 1

    def start(self) -> Window:
        return Window(self.candles)

    def step(self, state: Window, candle: Candle) -> float:
        state.push(candle.close)
        if not state.full:
            return NAN
        level = state.moments[1]
        return math.log(candle.close / level) if self.relative else level

    def batch(self, candles: Candles) -> FloatArray:
        levels = rolling_mean(candles.close, self.candles)
        return np.log(candles.close / levels) if self.relative else levels
