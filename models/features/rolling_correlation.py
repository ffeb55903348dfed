"""Rolling correlation (Pearson) of the log returns of two series. -1 to 1."""

import math
from typing import Annotated, ClassVar

import msgspec
import numpy as np
from msgspec import Meta

from models.candles import Candle, Candles
from models.features.base import NAN, Feature, FloatArray
from models.features.changes import log_changes
from models.features.windows import Recent, shifted_windows


class ReturnPairs(msgspec.Struct):
    """The last returns of both, and the closes that the next ones start from."""

    own: Recent
    other: Recent
    last: tuple[float, float] | None = None


def centred(values: list[float]) -> list[float]:
    """Values less their mean, exact zeros where they are all the same."""
    shifted = [value - values[-1] for value in values]
    mean = math.fsum(shifted) / len(shifted)
    return [value - mean for value in shifted]


class RollingCorrelation(Feature[ReturnPairs], frozen=True, forbid_unknown_fields=True):
    """Correlation of the last `candles` log returns with those of the series named `series`; 0 where one does not move.

    O(candles) a step.
    """

    kind: ClassVar[str] = "rolling_correlation"
    series: str = "market"
    candles: Annotated[int, Meta(ge=3, le=10_000)] = 24

    @property
    def name(self) -> str:
        return f"rolling_correlation_{self.candles}_{self.series}"

    @property
    def reads(self) -> tuple[str, ...]:
        return (self.series,)

    @property
    def warm_up(self) -> int:
        return self.candles

    def start(self) -> ReturnPairs:
        return ReturnPairs(Recent(self.candles), Recent(self.candles))

    def step(self, state: ReturnPairs, candle: Candle) -> float:
        last, state.last = state.last, (candle.close, candle.others[self.series].close)
        if last is None:
            return NAN
        state.own.push(math.log(state.last[0] / last[0]))
        if not state.other.push(math.log(state.last[1] / last[1])):
            return NAN
        own, other = centred(state.own.values), centred(state.other.values)
        power = math.sqrt(math.fsum(x * x for x in own)) * math.sqrt(math.fsum(y * y for y in other))
        return math.fsum(x * y for x, y in zip(own, other, strict=True)) / power if power > 0 else 0.0

    def batch(self, candles: Candles) -> FloatArray:
        values = np.full(len(candles), NAN)
        pair = [log_changes(candles.close), log_changes(candles.others[self.series].close)]
        shifted = [shifted_windows(changes, self.candles) for changes in pair]
        own, other = (windows - windows.mean(axis=1, keepdims=True) for windows in shifted)
        power = np.sqrt((own**2).sum(axis=1)) * np.sqrt((other**2).sum(axis=1))
        values[self.candles :] = np.where(power > 0, (own * other).sum(axis=1) / np.where(power > 0, power, 1.0), 0.0)
        return values
