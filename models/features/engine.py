"""Computes a declared list of features, candle by candle or for a whole history, with the same numbers.

A gap starts every feature anew: no value is ever computed across a missing candle.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec
import numpy as np

from evenhand.errors import EvenhandError, InvalidConfiguration
from models.candles import Candle, Candles
from models.features.base import AnyFeature, FloatArray, make_feature


class CandleOutOfOrder(EvenhandError):
    """A candle that repeats the last one or lies before it. Drop it, or start a new engine."""


class CandleNotClosed(EvenhandError):
    """A candle whose close is not known yet. Wait until its interval has passed."""


class FeatureEngine:
    """A list of features over one series of candles.

    `step` takes closed candles only: a value is known at `open_time + interval_ms`. What is given as `now_ms` (event
    time) lets it refuse one that is still open.
    """

    def __init__(self, features: Sequence[AnyFeature], interval_ms: int) -> None:
        """Start with no history; `interval_ms` is the length of a candle."""
        self.features = tuple(features)
        self.names = tuple(feature.name for feature in self.features)
        if len(set(self.names)) < len(self.names):
            twice = sorted({name for name in self.names if self.names.count(name) > 1})
            raise InvalidConfiguration(f"features declared twice: {', '.join(twice)}")
        if interval_ms <= 0:
            raise InvalidConfiguration(f"interval_ms is {interval_ms}; a candle has a positive length")
        self.interval_ms = interval_ms
        self.reads = tuple(sorted({series for feature in self.features for series in feature.reads}))
        self.warm_up = max((feature.warm_up for feature in self.features), default=0)
        self._last: int | None = None
        self._start()

    @classmethod
    def declared(cls, declarations: Iterable[Mapping[str, Any]], interval_ms: int) -> "FeatureEngine":
        """Make an engine from declarations as they stand in `config/models.yaml`."""
        made = [make_feature(each, f"features[{place}]") for place, each in enumerate(declarations)]
        return cls(made, interval_ms)

    def _start(self) -> None:
        self._states = [feature.start() for feature in self.features]
        self._steps = [feature.step for feature in self.features]

    def step(self, candle: Candle, now_ms: int | None = None) -> list[float]:
        """Take the next closed candle; return the features in order, NaN where one still warms up."""
        if now_ms is not None and now_ms < candle.open_time + self.interval_ms:
            left = candle.open_time + self.interval_ms - now_ms
            raise CandleNotClosed(f"the candle of {candle.open_time} closes in {left} ms: wait for it")
        if self.reads:
            self._require(candle.others)
        if self._last is not None and candle.open_time != self._last + self.interval_ms:
            if candle.open_time <= self._last:
                raise CandleOutOfOrder(f"the candle of {candle.open_time} came after that of {self._last}")
            self._start()
        self._last = candle.open_time
        return [step(state, candle) for step, state in zip(self._steps, self._states, strict=True)]

    def batch(self, candles: Candles) -> FloatArray:
        """Compute all rows of a history, shape (candles, features): what `step` would return for each candle."""
        if candles.interval_ms != self.interval_ms:
            raise InvalidConfiguration(f"candles of {candles.interval_ms} ms, features of {self.interval_ms} ms")
        self._require(candles.others)
        rows = np.empty((len(candles), len(self.features)))
        for start, stop in candles.runs():
            run = candles.slice(start, stop)
            for place, feature in enumerate(self.features):
                rows[start:stop, place] = feature.batch(run)
        return rows

    def _require(self, others: Mapping[str, Any]) -> None:
        missing = [series for series in self.reads if series not in others]
        if missing:
            raise InvalidConfiguration(f"the features read {', '.join(missing)}: give these series beside the candles")

    def dump(self) -> bytes:
        """Write the state as JSON, to go on from it after a restart."""
        states = [msgspec.Raw(feature.dump(state)) for feature, state in zip(self.features, self._states, strict=True)]
        return msgspec.json.encode({"last": self._last, "states": dict(zip(self.names, states, strict=True))})

    def restore(self, raw: bytes) -> None:
        """Go on from what `dump` wrote; the features must be the same ones."""
        held = msgspec.json.decode(raw, type=_Held)
        if set(held.states) != set(self.names):
            other = ", ".join(sorted(set(held.states) ^ set(self.names)))
            raise InvalidConfiguration(f"the state belongs to other features; these differ: {other}")
        self._last = held.last
        self._states = [feature.restore(bytes(held.states[feature.name])) for feature in self.features]


class _Held(msgspec.Struct):
    last: int | None
    states: dict[str, msgspec.Raw]
