"""Rolling skewness of one-candle log returns: mean cubed deviation / (mean squared deviation)^1.5. No unit."""

import math
from typing import Annotated, ClassVar

import msgspec
import numpy as np
from msgspec import Meta

from models.candles import Candle, Candles
from models.features.base import NAN, Feature, FloatArray
from models.features.changes import log_changes
from models.features.windows import Recent, shifted_windows


class RecentReturns(msgspec.Struct):
    """The last returns, and the close that the next one starts from."""

    recent: Recent
    last: float | None = None


class RollingSkew(Feature[RecentReturns], frozen=True, forbid_unknown_fields=True):
    """The skewness of the last `candles` log returns (biased); 0 where nothing moves. O(candles) a step."""

    kind: ClassVar[str] = "rolling_skew"
    candles: Annotated[int, Meta(ge=3, le=10_000)] = 24

    @property
    def name(self) -> str:
        return f"rolling_skew_{self.candles}"

    @property
    def warm_up(self) -> int:
        return self.candles

    def start(self) -> RecentReturns:
        return RecentReturns(Recent(self.candles))

    def step(self, state: RecentReturns, candle: Candle) -> float:
        last, state.last = state.last, candle.close
        if last is None or not state.recent.push(math.log(candle.close / last)):
            return NAN
        returns = state.recent.values
        mean = math.fsum(value - returns[-1] for value in returns) / self.candles + returns[-1]
        square = math.fsum((value - mean) ** 2 for value in returns) / self.candles
        return math.fsum((value - mean) ** 3 for value in returns) / self.candles / square**1.5 if square > 0 else 0.0

    def batch(self, candles: Candles) -> FloatArray:
        values = np.full(len(candles), NAN)
        shifted = shifted_windows(log_changes(candles.close), self.candles)
        deviations = shifted - shifted.mean(axis=1, keepdims=True)
        square = (deviations**2).mean(axis=1)
        flat = square == 0
        values[self.candles :] = np.where(flat, 0.0, (deviations**3).mean(axis=1) / np.where(flat, 1.0, square) ** 1.5)
        return values
