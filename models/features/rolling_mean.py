"""Distance from the rolling mean: ln(close / mean of the last closes). Unit: fraction, natural log."""

import math
from typing import Annotated, ClassVar

import numpy as np
from msgspec import Meta

from models.candles import Candle, Candles
from models.features.base import NAN, Feature, FloatArray
from models.features.windows import Window, rolling_mean


class RollingMean(Feature[Window], frozen=True, forbid_unknown_fields=True):
    """How far the close stands above the mean of the last `candles` closes, itself among them."""

    kind: ClassVar[str] = "rolling_mean"
    candles: Annotated[int, Meta(ge=2, le=10_000)] = 24

    @property
    def name(self) -> str:
        return f"rolling_mean_{self.candles}"

    @property
    def warm_up(self) -> int:
        return self.candles - 1

    def start(self) -> Window:
        return Window(self.candles)

    def step(self, state: Window, candle: Candle) -> float:
        state.push(candle.close)
        return math.log(candle.close / state.moments[1]) if state.full else NAN

    def batch(self, candles: Candles) -> FloatArray:
        values: FloatArray = np.log(candles.close / rolling_mean(candles.close, self.candles))
        return values
