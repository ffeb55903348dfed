"""Commodity channel index: (typical price - its mean) / (0.015 x its mean absolute deviation) (Lambert 1980)."""

import math
from typing import Annotated, ClassVar

import numpy as np
from msgspec import Meta

from models.candles import Candle, Candles
from models.features.base import NAN, Feature, FloatArray
from models.features.changes import typical, typicals
from models.features.windows import Recent, shifted_windows


class CommodityChannelIndex(Feature[Recent], frozen=True, forbid_unknown_fields=True):
    """How unusual the typical price is; 0 where nothing moves. O(candles) a step."""

    kind: ClassVar[str] = "cci"
    candles: Annotated[int, Meta(ge=2, le=10_000)] = 14

    @property
    def name(self) -> str:
        return f"cci_{self.candles}"

    @property
    def warm_up(self) -> int:
        return self.candles - 1

    def start(self) -> Recent:
        return Recent(self.candles)

    def step(self, state: Recent, candle: Candle) -> float:
        if not state.push(typical(candle)):
            return NAN
        last = state.values[-1]
        shifted = [value - last for value in state.values]
        mean = math.fsum(shifted) / self.candles
        deviation = math.fsum(abs(value - mean) for value in shifted) / self.candles
        return -mean / (0.015 * deviation) if deviation > 0 else 0.0

    def batch(self, candles: Candles) -> FloatArray:
        values = np.full(len(candles), NAN)
        shifted = shifted_windows(typicals(candles), self.candles)
        mean = shifted.mean(axis=1)
        deviation = abs(shifted - mean[:, None]).mean(axis=1)
        flat = deviation == 0
        values[self.candles - 1 :] = np.where(flat, 0.0, -mean / (0.015 * np.where(flat, 1.0, deviation)))
        return values
