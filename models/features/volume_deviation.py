"""Volume deviation: how many sample standard deviations the volume lies above its mean. No unit."""

from typing import Annotated, ClassVar

from msgspec import Meta

from models.candles import Candle, Candles
from models.features.base import NAN, Feature, FloatArray
from models.features.windows import Window, sample_deviation, z_scores


class VolumeDeviation(Feature[Window], frozen=True, forbid_unknown_fields=True):
    """The z-score of the volume among the last `candles` volumes; 0 where nothing changes."""

    kind: ClassVar[str] = "volume_deviation"
    candles: Annotated[int, Meta(ge=2, le=10_000)] = 24

    @property
    def name(self) -> str:
        return f"volume_deviation_{self.candles}"

    @property
    def warm_up(self) -> int:
        return self.candles - 1

    def start(self) -> Window:
        return Window(self.candles)

    def step(self, state: Window, candle: Candle) -> float:
        state.push(candle.volume)
        if not state.full:
            return NAN
        deviation = sample_deviation(state.moments)
        return (candle.volume - state.moments[1]) / deviation if deviation > 0 else 0.0

    def batch(self, candles: Candles) -> FloatArray:
        return z_scores(candles.volume, self.candles)
