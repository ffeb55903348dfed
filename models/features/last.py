"""What features of the last so many candles share: z-scores and extremes of one column, smoothed returns."""

import math
from typing import Annotated, ClassVar, Literal

import msgspec
import numpy as np
from msgspec import Meta

from models.candles import Candle, Candles
from models.features.base import NAN, Feature, FloatArray, State
from models.features.changes import log_changes
from models.features.recursions import Smoothed, smooth, span
from models.features.windows import Greatest, Recent, rolling_greatest, z_scores


class OfTheLast(Feature[State], frozen=True, forbid_unknown_fields=True):
    """A feature that needs so many candles, this one among them."""

    candles: Annotated[int, Meta(ge=2, le=10_000)] = 24

    @property
    def name(self) -> str:
        return f"{self.kind}_{self.candles}"

    @property
    def warm_up(self) -> int:
        return self.candles - 1


class Deviation(OfTheLast[Recent], frozen=True, forbid_unknown_fields=True):
    """The z-score of a column among its last values; 0 where nothing moves. O(candles) a step.

    Moments that are merged would be as far off as a value is from zero, and not as far as it has moved.
    """

    column: ClassVar[Literal["close", "volume"]] = "close"

    def start(self) -> Recent:
        return Recent(self.candles)

    def step(self, state: Recent, candle: Candle) -> float:
        value: float = getattr(candle, self.column)
        if not state.push(value):
            return NAN
        moved = [one - value for one in state.values]
        mean = math.fsum(moved) / self.candles
        squares = math.fsum([(one - mean) ** 2 for one in moved])
        return -mean / math.sqrt(squares / (self.candles - 1)) if squares > 0 else 0.0

    def batch(self, candles: Candles) -> FloatArray:
        return z_scores(getattr(candles, self.column), self.candles)


class Extreme(OfTheLast[Greatest], frozen=True, forbid_unknown_fields=True):
    """The greatest of a column times `sign`, times `sign` again: the least, where that is -1.

    A price; with `relative`, how far the close stands above it: ln(close / it), which a model can learn from.
    """

    column: ClassVar[Literal["high", "low"]] = "high"
    sign: ClassVar[float] = 1.0
    relative: bool = False

    @property
    def name(self) -> str:
        return f"{self.kind}_{self.candles}" + "_relative" * self.relative

    def start(self) -> Greatest:
        return Greatest(self.candles)

    def step(self, state: Greatest, candle: Candle) -> float:
        level = self.sign * state.push(self.sign * getattr(candle, self.column))
        return math.log(candle.close / level) if self.relative else level

    def batch(self, candles: Candles) -> FloatArray:
        levels = self.sign * rolling_greatest(self.sign * getattr(candles, self.column), self.candles)
        return np.log(candles.close / levels) if self.relative else levels


class SmoothedReturns(msgspec.Struct):
    """What is smoothed, and the close that the next return starts from."""

    mean: Smoothed
    last: float | None = None


class OfSmoothedReturns(OfTheLast[SmoothedReturns], frozen=True, forbid_unknown_fields=True):
    """m = weight r + (1 - weight) m, weight 2 / (candles + 1), started by the mean of the first `candles`.

    With `squared`, the root of the same of r^2.
    """

    squared: ClassVar[bool] = False

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
        return math.sqrt(state.mean.push(change * change)) if self.squared else state.mean.push(change)

    def batch(self, candles: Candles) -> FloatArray:
        values, changes = np.full(len(candles), NAN), log_changes(candles.close)
        smoothed = smooth(changes**2 if self.squared else changes, self.candles, span(self.candles))
        values[1:] = np.sqrt(smoothed) if self.squared else smoothed
        return values
