"""Mean log return with exponential weights. Unit: fraction, natural log."""

import math
from typing import Annotated, ClassVar

import msgspec
import numpy as np
from msgspec import Meta

from models.candles import Candle, Candles
from models.features.base import NAN, Feature, FloatArray
from models.features.changes import log_changes
from models.features.recursions import Smoothed, smooth, span


class SmoothedReturns(msgspec.Struct):
    """What is smoothed, and the close that the next return starts from."""

    mean: Smoothed
    last: float | None = None


class EwmReturn(Feature[SmoothedReturns], frozen=True, forbid_unknown_fields=True):
    """m = weight r + (1 - weight) m, weight 2 / (candles + 1), started by the mean of the first `candles`."""

    kind: ClassVar[str] = "ewm_return"
    candles: Annotated[int, Meta(ge=2, le=10_000)] = 24

    @property
    def name(self) -> str:
        return f"ewm_return_{self.candles}"

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
        return state.mean.push(change)

    def batch(self, candles: Candles) -> FloatArray:
        values = np.full(len(candles), NAN)
        changes = log_changes(candles.close)
        smoothed = smooth(changes, self.candles, span(self.candles))
        values[1:] = smoothed
        return values
