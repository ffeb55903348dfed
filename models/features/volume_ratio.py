"""Volume ratio: the candle's volume over the mean of the last volumes. No unit; 0 while nothing is traded."""

from typing import Annotated, ClassVar

import numpy as np
from msgspec import Meta

from models.candles import Candle, Candles
from models.features.base import NAN, Feature, FloatArray
from models.features.windows import Window, rolling_mean


class VolumeRatio(Feature[Window], frozen=True, forbid_unknown_fields=True):
    """Volume over the mean volume of the last `candles` candles, this one among them."""

    kind: ClassVar[str] = "volume_ratio"
    candles: Annotated[int, Meta(ge=2, le=10_000)] = 24

    @property
    def name(self) -> str:
        return f"volume_ratio_{self.candles}"

    @property
    def warm_up(self) -> int:
        return self.candles - 1

    def start(self) -> Window:
        return Window(self.candles)

    def step(self, state: Window, candle: Candle) -> float:
        state.push(candle.volume)
        if not state.full:
            return NAN
        mean = state.moments[1]
        return candle.volume / mean if mean > 0 else 0.0

    def batch(self, candles: Candles) -> FloatArray:
        means = rolling_mean(candles.volume, self.candles)
        values: FloatArray = np.where(means == 0, 0.0, candles.volume / np.where(means == 0, 1.0, means))
        return values
