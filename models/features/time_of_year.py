"""Time of year as a point on a circle, so that its end and its beginning are neighbours. No unit, UTC."""

import math
from typing import ClassVar, Literal

import numpy as np

from models.candles import Candle, Candles
from models.features.base import Feature, FloatArray
from models.features.candle_range import Nothing

_YEAR_MS = 31_556_952_000  # the mean Gregorian year; off by at most a day


class TimeOfYear(Feature[Nothing], frozen=True, forbid_unknown_fields=True):
    """The sine or the cosine of the time at which the candle opens, one turn a year."""

    kind: ClassVar[str] = "time_of_year"
    wave: Literal["sine", "cosine"] = "sine"

    @property
    def name(self) -> str:
        return f"time_of_year_{self.wave}"

    @property
    def warm_up(self) -> int:
        return 0

    def start(self) -> Nothing:
        return Nothing()

    def step(self, state: Nothing, candle: Candle) -> float:
        angle = ((candle.open_time) % _YEAR_MS) * (2 * math.pi / _YEAR_MS)
        return math.sin(angle) if self.wave == "sine" else math.cos(angle)

    def batch(self, candles: Candles) -> FloatArray:
        angles = ((candles.open_time) % _YEAR_MS) * (2 * math.pi / _YEAR_MS)
        values: FloatArray = np.sin(angles) if self.wave == "sine" else np.cos(angles)
        return values
