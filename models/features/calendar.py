"""What calendar features share: time as a point on a circle, where the end of a turn is next to its beginning."""

import math
from typing import ClassVar, Literal

import numpy as np

from models.candles import Candle, Candles
from models.features.base import Feature, FloatArray
from models.features.candle_range import Nothing


class Turning(Feature[Nothing], frozen=True, forbid_unknown_fields=True):
    """The sine or the cosine of the time at which the candle opens, one turn every `turn_ms` from `from_ms` on."""

    turn_ms: ClassVar[int]
    from_ms: ClassVar[int] = 0
    wave: Literal["sine", "cosine"] = "sine"

    @property
    def name(self) -> str:
        return f"{self.kind}_{self.wave}"

    @property
    def warm_up(self) -> int:
        return 0

    def start(self) -> Nothing:
        return Nothing()

    def step(self, state: Nothing, candle: Candle) -> float:
        angle = ((candle.open_time - self.from_ms) % self.turn_ms) * (2 * math.pi / self.turn_ms)
        return math.sin(angle) if self.wave == "sine" else math.cos(angle)

    def batch(self, candles: Candles) -> FloatArray:
        angles = ((candles.open_time - self.from_ms) % self.turn_ms) * (2 * math.pi / self.turn_ms)
        values: FloatArray = np.sin(angles) if self.wave == "sine" else np.cos(angles)
        return values
