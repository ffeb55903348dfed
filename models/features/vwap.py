"""Volume-weighted average of the typical prices of the last candles. Unit: price; relative: fraction, natural log."""

import math
from typing import Annotated, ClassVar

import msgspec
import numpy as np
from msgspec import Meta

from models.candles import Candle, Candles
from models.features.base import NAN, Feature, FloatArray
from models.features.changes import typical, typicals
from models.features.windows import Window, rolling_mean


class Traded(msgspec.Struct):
    """Windows of price times volume, of volume, and of price."""

    paid: Window
    volume: Window
    price: Window


def vwap(candles: Candles, size: int) -> FloatArray:
    """Volume-weighted typical price of the last `size` candles, NaN before there are as many."""
    prices = typicals(candles)
    volume = rolling_mean(candles.volume, size)
    none = volume == 0
    paid = rolling_mean(prices * candles.volume, size) / np.where(none, 1.0, volume)
    levels: FloatArray = np.where(none, rolling_mean(prices, size), paid)
    return levels


class VolumeWeightedPrice(Feature[Traded], frozen=True, forbid_unknown_fields=True):
    """What was paid on average over the last `candles` candles; their plain mean while nothing was traded.

    A price; with `relative`, how far the close stands above it: ln(close / it), which a model can learn from.
    """

    kind: ClassVar[str] = "vwap"
    candles: Annotated[int, Meta(ge=2, le=10_000)] = 24
    relative: bool = False

    @property
    def name(self) -> str:
        return f"vwap_{self.candles}" + "_relative" * self.relative

    @property
    def warm_up(self) -> int:
        return self.candles - 1

    def start(self) -> Traded:
        return Traded(Window(self.candles), Window(self.candles), Window(self.candles))

    def step(self, state: Traded, candle: Candle) -> float:
        price = typical(candle)
        state.paid.push(price * candle.volume)
        state.volume.push(candle.volume)
        state.price.push(price)
        if not state.volume.full:
            return NAN
        volume = state.volume.moments[1]
        level = state.paid.moments[1] / volume if volume > 0 else state.price.moments[1]
        return math.log(candle.close / level) if self.relative else level

    def batch(self, candles: Candles) -> FloatArray:
        levels = vwap(candles, self.candles)
        return np.log(candles.close / levels) if self.relative else levels
