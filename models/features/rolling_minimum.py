"""The lowest low of the last candles. Unit: price; relative: fraction, natural log."""

import math
from typing import Annotated, ClassVar

import numpy as np
from msgspec import Meta

from models.candles import Candle, Candles
from models.features.base import Feature, FloatArray
from models.features.windows import Greatest, rolling_least


class RollingMinimum(Feature[Greatest], frozen=True, forbid_unknown_fields=True):
    """The lowest low of the last `candles` candles.

    A price; with `relative`, how far the close stands above it: ln(close / it), which a model can learn from.
    """

    kind: ClassVar[str] = "rolling_minimum"
    candles: Annotated[int, Meta(ge=2, le=10_000)] = 24
    relative: bool = False

    @property
    def name(self) -> str:
        return f"rolling_minimum_{self.candles}" + "_relative" * self.relative

    @property
    def warm_up(self) -> int:
        return self.candles - 1

    def start(self) -> Greatest:
        return Greatest(self.candles)

    def step(self, state: Greatest, candle: Candle) -> float:
        level = -state.push(-candle.low)
        return math.log(candle.close / level) if self.relative else level

    def batch(self, candles: Candles) -> FloatArray:
        levels = rolling_least(candles.low, self.candles)
        return np.log(candles.close / levels) if self.relative else levels
