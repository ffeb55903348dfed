"""MACD: fast less slow exponential average of the closes, its signal line, and their difference (Appel 1979). Price."""

import math
from typing import Annotated, ClassVar, Literal

import msgspec
import numpy as np
from msgspec import Meta

from models.candles import Candle, Candles
from models.features.base import NAN, Feature, FloatArray
from models.features.recursions import Smoothed, smooth, span


class Averages(msgspec.Struct):
    """The three averages, and how many candles came."""

    fast: Smoothed
    slow: Smoothed
    signal: Smoothed
    count: int = 0


class Macd(Feature[Averages], frozen=True, forbid_unknown_fields=True):
    """Moving average convergence/divergence, in the unit of the price.

    Both averages start at the same candle, as TA-Lib starts them.
    """

    kind: ClassVar[str] = "macd"
    fast: Annotated[int, Meta(ge=2, le=10_000)] = 12
    slow: Annotated[int, Meta(ge=3, le=10_000)] = 26
    signal: Annotated[int, Meta(ge=1, le=10_000)] = 9
    line: Literal["macd", "signal", "histogram"] = "macd"

    def __post_init__(self) -> None:
        if self.fast >= self.slow:
            raise ValueError(f"fast is {self.fast} and slow {self.slow}: fast must be less")

    @property
    def name(self) -> str:
        return f"macd_{self.fast}_{self.slow}_{self.signal}_{self.line}"

    @property
    def warm_up(self) -> int:
        return self.slow + self.signal - 2

    def start(self) -> Averages:
        return Averages(
            Smoothed(self.fast, span(self.fast)),
            Smoothed(self.slow, span(self.slow)),
            Smoothed(self.signal, span(self.signal)),
        )

    def step(self, state: Averages, candle: Candle) -> float:
        slow = state.slow.push(candle.close)
        state.count += 1
        if state.count <= self.slow - self.fast:
            return NAN
        macd = state.fast.push(candle.close) - slow
        if math.isnan(macd):
            return NAN
        signal = state.signal.push(macd)
        if math.isnan(signal):
            return NAN
        return {"macd": macd, "signal": signal, "histogram": macd - signal}[self.line]

    def batch(self, candles: Candles) -> FloatArray:
        fast = np.full(len(candles), NAN)
        later = self.slow - self.fast
        fast[later:] = smooth(candles.close[later:], self.fast, span(self.fast))
        macd = fast - smooth(candles.close, self.slow, span(self.slow))
        signal = np.full(len(candles), NAN)
        signal[self.slow - 1 :] = smooth(macd[self.slow - 1 :], self.signal, span(self.signal))
        macd[: self.warm_up] = NAN
        lines: dict[str, FloatArray] = {"macd": macd, "signal": signal, "histogram": macd - signal}
        return lines[self.line]
