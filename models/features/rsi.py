"""Relative strength index: 100 x mean gain / (mean gain + mean loss), smoothed as Wilder does (1978). 0 to 100."""

from typing import Annotated, ClassVar

import msgspec
import numpy as np
from msgspec import Meta

from models.candles import Candle, Candles
from models.features.base import NAN, Feature, FloatArray
from models.features.recursions import Smoothed, smooth, wilder


class Moves(msgspec.Struct):
    """Mean gain and loss, and the close that the next move starts from."""

    gain: Smoothed
    loss: Smoothed
    last: float | None = None


class RelativeStrengthIndex(Feature[Moves], frozen=True, forbid_unknown_fields=True):
    """How much of the movement of the last closes went up; 50 where nothing moves (TA-Lib says 0 there)."""

    kind: ClassVar[str] = "rsi"
    candles: Annotated[int, Meta(ge=2, le=10_000)] = 14

    @property
    def name(self) -> str:
        return f"rsi_{self.candles}"

    @property
    def warm_up(self) -> int:
        return self.candles

    def start(self) -> Moves:
        return Moves(Smoothed(self.candles, wilder(self.candles)), Smoothed(self.candles, wilder(self.candles)))

    def step(self, state: Moves, candle: Candle) -> float:
        if state.last is None:
            state.last = candle.close
            return NAN
        change = candle.close - state.last
        state.last = candle.close
        gain, loss = state.gain.push(max(change, 0.0)), state.loss.push(max(-change, 0.0))
        return 100.0 * gain / (gain + loss) if gain + loss != 0 else 50.0

    def batch(self, candles: Candles) -> FloatArray:
        values = np.full(len(candles), NAN)
        change = np.diff(candles.close)
        gain = smooth(np.maximum(change, 0.0), self.candles, wilder(self.candles))
        moved = gain + smooth(np.maximum(-change, 0.0), self.candles, wilder(self.candles))
        values[1:] = np.where(moved == 0, 50.0, 100.0 * gain / np.where(moved == 0, 1.0, moved))
        return values
