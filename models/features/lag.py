"""Lag: another feature as it was so many candles ago."""

import math
from collections.abc import Callable
from typing import Annotated, Any, ClassVar

import msgspec
import numpy as np
from msgspec import Meta

from models.candles import Candle, Candles
from models.features.base import NAN, AnyFeature, Feature, FloatArray, make_feature


class Waiting:
    """The values that wait for their turn, oldest first, and the state of the feature that makes them."""

    __slots__ = ("inner", "step", "values")

    def __init__(self, inner: Any, values: list[float], step: Callable[[Any, Candle], float]) -> None:
        """Start from the state of the inner feature."""
        self.inner, self.values, self.step = inner, values, step


class Lag(Feature[Waiting], frozen=True, forbid_unknown_fields=True):
    """The value that `of` had `candles` candles ago; `of` is declared like any feature."""

    kind: ClassVar[str] = "lag"
    of: dict[str, Any] = msgspec.field(default_factory=lambda: {"kind": "log_return"})
    candles: Annotated[int, Meta(ge=1, le=10_000)] = 1

    @property
    def inner(self) -> AnyFeature:
        """The feature that lags behind."""
        return make_feature(self.of, self.kind)

    @property
    def name(self) -> str:
        return f"{self.inner.name}_lag_{self.candles}"

    @property
    def reads(self) -> tuple[str, ...]:
        return self.inner.reads

    @property
    def warm_up(self) -> int:
        return self.inner.warm_up + self.candles

    def start(self) -> Waiting:
        inner = self.inner
        return Waiting(inner.start(), [], inner.step)

    def step(self, state: Waiting, candle: Candle) -> float:
        value = state.step(state.inner, candle)
        if math.isnan(value):  # the inner feature warms up
            return NAN
        state.values.append(value)
        return state.values.pop(0) if len(state.values) > self.candles else NAN

    def batch(self, candles: Candles) -> FloatArray:
        values = np.full(len(candles), NAN)
        values[self.candles :] = self.inner.batch(candles)[: -self.candles]
        return values

    def dump(self, state: Waiting) -> bytes:
        return msgspec.json.encode([msgspec.Raw(self.inner.dump(state.inner)), state.values])

    def restore(self, raw: bytes) -> Waiting:
        inner = self.inner
        state, values = msgspec.json.decode(raw, type=tuple[msgspec.Raw, list[float]])
        return Waiting(inner.restore(bytes(state)), values, inner.step)
