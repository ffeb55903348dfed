"""Exponential moving average of closes, weight 2 / (candles + 1). Unit: price; relative: fraction, natural log."""

import math
from typing import Annotated, ClassVar

import numpy as np
from msgspec import Meta

from models.candles import Candle, Candles
from models.features.base import Feature, FloatArray
from models.features.recursions import Smoothed, smooth, span


class ExponentialMovingAverage(Feature[Smoothed], frozen=True, forbid_unknown_fields=True):
    """The exponential average of the closes, started by the mean of the first `candles`.

    A price; with `relative`, how far the close stands above it: ln(close / it), which a model can learn from.
    """

    kind: ClassVar[str] = "ema"
    candles: Annotated[int, Meta(ge=2, le=10_000)] = 20
    relative: bool = False

    @property
    def name(self) -> str:
        return f"ema_{self.candles}" + "_relative" * self.relative

    @property
    def warm_up(self) -> int:
        return self.candles - 1

    def start(self) -> Smoothed:
        return Smoothed(self.candles, span(self.candles))

    def step(self, state: Smoothed, candle: Candle) -> float:
        level = state.push(candle.close)
        return math.log(candle.close / level) if self.relative else level

    def batch(self, candles: Candles) -> FloatArray:
        levels = smooth(candles.close, self.candles, span(self.candles))
        return np.log(candles.close / levels) if self.relative else levels
