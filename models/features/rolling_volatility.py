"""Rolling volatility: the sample standard deviation of the last one-candle log returns. Not annualised."""

import math
from typing import Annotated, ClassVar

import msgspec
import numpy as np
from msgspec import Meta

from models.candles import Candle, Candles
from models.features.base import NAN, Feature, FloatArray
from models.features.windows import Window, rolling_deviation, sample_deviation


class Returns(msgspec.Struct):
    """The window of returns, and the log close that the next return starts from."""

    window: Window
    last: float | None = None


class RollingVolatility(Feature[Returns], frozen=True, forbid_unknown_fields=True):
    """The standard deviation (n - 1) of the last `candles` log returns."""

    kind: ClassVar[str] = "rolling_volatility"
    candles: Annotated[int, Meta(ge=2, le=10_000)] = 24

    @property
    def name(self) -> str:
        return f"rolling_volatility_{self.candles}"

    @property
    def warm_up(self) -> int:
        return self.candles

    def start(self) -> Returns:
        return Returns(Window(self.candles))

    def step(self, state: Returns, candle: Candle) -> float:
        log = math.log(candle.close)
        if state.last is not None:
            state.window.push(log - state.last)
        state.last = log
        return sample_deviation(state.window.moments) if state.window.full else NAN

    def batch(self, candles: Candles) -> FloatArray:
        values = np.full(len(candles), NAN)
        values[1:] = rolling_deviation(np.diff(np.log(candles.close)), self.candles)
        return values
