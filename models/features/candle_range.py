"""Candle range: ln(high / low) of the candle itself. Unit: fraction, natural log."""

import math
from typing import ClassVar

import msgspec
import numpy as np

from models.candles import Candle, Candles
from models.features.base import Feature, FloatArray


class Nothing(msgspec.Struct):
    """The state of a feature that looks at one candle only."""


class CandleRange(Feature[Nothing], frozen=True, forbid_unknown_fields=True):
    """How far the price moved within the candle."""

    kind: ClassVar[str] = "candle_range"

    @property
    def name(self) -> str:
        return "candle_range"

    @property
    def warm_up(self) -> int:
        return 0

    def start(self) -> Nothing:
        return Nothing()

    def step(self, state: Nothing, candle: Candle) -> float:
        return math.log(candle.high / candle.low)

    def batch(self, candles: Candles) -> FloatArray:
        values: FloatArray = np.log(candles.high / candles.low)
        return values
