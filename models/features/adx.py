"""Average directional index: how strong a trend is, whatever its direction (Wilder 1978). 0 to 100."""

import math
from typing import Annotated, ClassVar

import msgspec
import numpy as np
from msgspec import Meta

from models.candles import Candle, Candles
from models.features.base import NAN, Feature, FloatArray
from models.features.recursions import Smoothed, recurse, smooth, wilder


class Movements(msgspec.Struct):
    """The decaying sums of both movements, the mean strength, and the last high, low and close."""

    mean: Smoothed
    up: float = 0.0
    down: float = 0.0
    count: int = 0
    last: tuple[float, float, float] | None = None


def directions(rise: float, fall: float) -> tuple[float, float]:
    """Return directional movement up and down: the greater of the two if it is positive, and nothing for the other."""
    return (rise if rise > fall and rise > 0 else 0.0), (fall if fall > rise and fall > 0 else 0.0)


class AverageDirectionalIndex(Feature[Movements], frozen=True, forbid_unknown_fields=True):
    """100 |up - down| / (up + down) of the smoothed directional movements, smoothed once more."""

    kind: ClassVar[str] = "adx"
    candles: Annotated[int, Meta(ge=2, le=10_000)] = 14

    @property
    def name(self) -> str:
        return f"adx_{self.candles}"

    @property
    def warm_up(self) -> int:
        return 2 * self.candles - 1

    def start(self) -> Movements:
        return Movements(Smoothed(self.candles, wilder(self.candles)))

    def step(self, state: Movements, candle: Candle) -> float:
        last, state.last = state.last, (candle.high, candle.low, candle.close)
        if last is None:
            return NAN
        up, down = directions(candle.high - last[0], last[1] - candle.low)
        decay = 1.0 - wilder(self.candles) if state.count >= self.candles - 1 else 1.0
        state.up = up + decay * state.up
        state.down = down + decay * state.down
        state.count += 1
        if state.count < self.candles:
            return NAN
        moved = state.up + state.down
        return state.mean.push(100.0 * abs(state.up - state.down) / moved if moved > 0 else 0.0)

    def batch(self, candles: Candles) -> FloatArray:
        values = np.full(len(candles), NAN)
        if len(candles) <= self.candles:
            return values
        rise, fall = np.diff(candles.high), -np.diff(candles.low)
        summed = []
        for moves in (np.where((rise > fall) & (rise > 0), rise, 0.0), np.where((fall > rise) & (fall > 0), fall, 0.0)):
            first = math.fsum(moves[: self.candles - 1])
            summed.append(recurse(moves[self.candles - 1 :], 1.0 - wilder(self.candles), 1.0, first))
        moved = summed[0] + summed[1]
        strength = np.where(moved > 0, 100.0 * abs(summed[0] - summed[1]) / np.where(moved > 0, moved, 1.0), 0.0)
        values[self.candles :] = smooth(strength, self.candles, wilder(self.candles))
        return values
