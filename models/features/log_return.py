"""Log return: ln(close now / close so many candles ago). Unit: fraction, natural log."""

import math
from typing import Annotated, ClassVar

import msgspec
import numpy as np
from msgspec import Meta

from models.candles import Candle, Candles
from models.features.base import NAN, Feature, FloatArray


class LastCloses(msgspec.Struct):
    """The log closes of the last candles, oldest first."""

    logs: list[float] = []


class LogReturn(Feature[LastCloses], frozen=True, forbid_unknown_fields=True):
    """The log return over `candles` candles."""

    kind: ClassVar[str] = "log_return"
    candles: Annotated[int, Meta(ge=1, le=10_000)] = 1

    @property
    def name(self) -> str:
        return f"log_return_{self.candles}"

    @property
    def warm_up(self) -> int:
        return self.candles

    def start(self) -> LastCloses:
        return LastCloses()

    def step(self, state: LastCloses, candle: Candle) -> float:
        logs = state.logs
        logs.append(math.log(candle.close))
        if len(logs) <= self.candles:
            return NAN
        return logs[-1] - logs.pop(0)

    def batch(self, candles: Candles) -> FloatArray:
        values = np.full(len(candles), NAN)
        logs = np.log(candles.close)
        values[self.candles :] = logs[self.candles :] - logs[: -self.candles]
        return values
