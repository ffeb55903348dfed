"""Rate of change: 100 x (close / close so many candles ago - 1). Unit: percent."""

from typing import Annotated, ClassVar

import numpy as np
from msgspec import Meta

from models.candles import Candle, Candles
from models.features.base import NAN, Feature, FloatArray
from models.features.windows import Recent


class RateOfChange(Feature[Recent], frozen=True, forbid_unknown_fields=True):
    """By how many percent the close has moved over `candles` candles."""

    kind: ClassVar[str] = "rate_of_change"
    candles: Annotated[int, Meta(ge=1, le=10_000)] = 10

    @property
    def name(self) -> str:
        return f"rate_of_change_{self.candles}"

    @property
    def warm_up(self) -> int:
        return self.candles

    def start(self) -> Recent:
        return Recent(self.candles + 1)

    def step(self, state: Recent, candle: Candle) -> float:
        return 100.0 * (candle.close / state.values[0] - 1.0) if state.push(candle.close) else NAN

    def batch(self, candles: Candles) -> FloatArray:
        values = np.full(len(candles), NAN)
        values[self.candles :] = 100.0 * (candles.close[self.candles :] / candles.close[: -self.candles] - 1.0)
        return values
