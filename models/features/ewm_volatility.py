"""Volatility with exponential weights: the root of the smoothed squared log returns (RiskMetrics)."""

import math
from typing import Annotated, ClassVar

import numpy as np
from msgspec import Meta

from models.candles import Candle, Candles
from models.features.base import NAN, Feature, FloatArray
from models.features.changes import log_changes
from models.features.ewm_return import SmoothedReturns
from models.features.recursions import Smoothed, smooth, span


class EwmVolatility(Feature[SmoothedReturns], frozen=True, forbid_unknown_fields=True):
    """v = weight r^2 + (1 - weight) v; weight 2 / (candles + 1); started by the mean of the first `candles`."""

    kind: ClassVar[str] = "ewm_volatility"
    candles: Annotated[int, Meta(ge=2, le=10_000)] = 24

    @property
    def name(self) -> str:
        return f"ewm_volatility_{self.candles}"

    @property
    def warm_up(self) -> int:
        return self.candles

    def start(self) -> SmoothedReturns:
        return SmoothedReturns(Smoothed(self.candles, span(self.candles)))

    def step(self, state: SmoothedReturns, candle: Candle) -> float:
        last, state.last = state.last, candle.close
        if last is None:
            return NAN
        change = math.log(candle.close / last)
        value = state.mean.push(change * change)
        return math.sqrt(value)

    def batch(self, candles: Candles) -> FloatArray:
        values = np.full(len(candles), NAN)
        changes = log_changes(candles.close)
        smoothed = smooth(changes**2, self.candles, span(self.candles))
        values[1:] = np.sqrt(smoothed)
        return values
