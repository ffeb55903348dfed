"""Distance from the rolling mean: ln(close / mean of the last closes). Unit: fraction, natural log."""

import math
from typing import ClassVar

import numpy as np

from models.candles import Candle, Candles
from models.features.base import NAN, FloatArray
from models.features.last import OfTheLast
from models.features.windows import Window, rolling_mean


class RollingMean(OfTheLast[Window], frozen=True, forbid_unknown_fields=True):
    """How far the close stands above the mean of the last `candles` closes, itself among them."""

    kind: ClassVar[str] = "rolling_mean"

    def start(self) -> Window:
        return Window(self.candles)

    def step(self, state: Window, candle: Candle) -> float:
        state.push(candle.close)
        return math.log(candle.close / state.moments[1]) if state.full else NAN

    def batch(self, candles: Candles) -> FloatArray:
        values: FloatArray = np.log(candles.close / rolling_mean(candles.close, self.candles))
        return values
