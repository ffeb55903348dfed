"""On-balance volume: the sum of volumes, each with the sign of its close-to-close move (Granville 1963). Volume."""

from typing import ClassVar

import msgspec
import numpy as np

from models.candles import Candle, Candles
from models.features.base import Feature, FloatArray


class Balance(msgspec.Struct):
    """The sum so far, and the close that the next move starts from."""

    total: float = 0.0
    last: float | None = None


class OnBalanceVolume(Feature[Balance], frozen=True, forbid_unknown_fields=True):
    """Starts at the volume of the first candle after a gap, so its level says nothing: let models read how it moves."""

    kind: ClassVar[str] = "obv"

    @property
    def name(self) -> str:
        return "obv"

    @property
    def warm_up(self) -> int:
        return 0

    def start(self) -> Balance:
        return Balance()

    def step(self, state: Balance, candle: Candle) -> float:
        if state.last is None:
            state.total = candle.volume
        elif candle.close != state.last:
            state.total += candle.volume if candle.close > state.last else -candle.volume
        state.last = candle.close
        return state.total

    def batch(self, candles: Candles) -> FloatArray:
        signs = np.ones(len(candles))
        signs[1:] = np.sign(np.diff(candles.close))
        totals: FloatArray = np.cumsum(signs * candles.volume)
        return totals
