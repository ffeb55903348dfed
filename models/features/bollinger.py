"""Bollinger bands: mean of the last closes -+ so many population standard deviations (Bollinger 2001)."""

import math
from typing import Annotated, ClassVar, Literal

import numpy as np
from msgspec import Meta

from models.candles import Candle, Candles
from models.features.base import NAN, FloatArray
from models.features.last import OfTheLast
from models.features.windows import Window, rolling_deviation, rolling_mean


class BollingerBands(OfTheLast[Window], frozen=True, forbid_unknown_fields=True):
    """One line of the bands.

    `lower` and `upper` are prices; `width` is (upper - lower) / middle; `percent` is where the close stands between
    them, 0 at the lower and 1 at the upper, one half where nothing moves.
    """

    kind: ClassVar[str] = "bollinger"
    candles: Annotated[int, Meta(ge=2, le=10_000)] = 20
    deviations: Annotated[float, Meta(gt=0.0, le=100.0)] = 2.0
    line: Literal["lower", "upper", "width", "percent"] = "percent"

    @property
    def name(self) -> str:
        return f"bollinger_{self.candles}_{self.deviations:g}_{self.line}"

    def start(self) -> Window:
        return Window(self.candles)

    def step(self, state: Window, candle: Candle) -> float:
        state.push(candle.close)
        if not state.full:
            return NAN
        _, middle, squares = state.moments
        reach = self.deviations * math.sqrt(squares / self.candles)
        match self.line:
            case "lower":
                return middle - reach
            case "upper":
                return middle + reach
            case "width":
                return 2 * reach / middle
            case "percent":
                return 0.5 + (candle.close - middle) / (2 * reach) if reach > 0 else 0.5

    def batch(self, candles: Candles) -> FloatArray:
        middle = rolling_mean(candles.close, self.candles)
        reach = self.deviations * math.sqrt(1 - 1 / self.candles) * rolling_deviation(candles.close, self.candles)
        match self.line:
            case "lower":
                return middle - reach
            case "upper":
                return middle + reach
            case "width":
                return 2 * reach / middle
            case "percent":
                percent: FloatArray = np.where(
                    reach == 0, 0.5, 0.5 + (candles.close - middle) / np.where(reach == 0, 1, 2 * reach)
                )
                return percent
