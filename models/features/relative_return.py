"""Relative return: the log return of this series less that of another over the same candles. Fraction, natural log."""

import math
from typing import Annotated, ClassVar

import numpy as np
from msgspec import Meta

from models.candles import Candle, Candles
from models.features.base import NAN, Feature, FloatArray
from models.features.windows import Recent


class RelativeReturn(Feature[Recent], frozen=True, forbid_unknown_fields=True):
    """By how much this series has outrun the series named `series`."""

    kind: ClassVar[str] = "relative_return"
    series: str = "market"
    candles: Annotated[int, Meta(ge=1, le=10_000)] = 1

    @property
    def name(self) -> str:
        return f"relative_return_{self.candles}_{self.series}"

    @property
    def reads(self) -> tuple[str, ...]:
        return (self.series,)

    @property
    def warm_up(self) -> int:
        return self.candles

    def start(self) -> Recent:
        return Recent(self.candles + 1)

    def step(self, state: Recent, candle: Candle) -> float:
        ratio = candle.close / candle.others[self.series].close
        return math.log(ratio / state.values[0]) if state.push(ratio) else NAN

    def batch(self, candles: Candles) -> FloatArray:
        values = np.full(len(candles), NAN)
        ratios = candles.close / candles.others[self.series].close
        values[self.candles :] = np.log(ratios[self.candles :] / ratios[: -self.candles])
        return values
