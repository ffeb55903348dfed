"""Intervals that hold what they promise: adaptive conformal inference, scaled by volatility.

Adaptive conformal inference (Gibbs and Candes 2021): a[t+1] = a[t] + gamma (a - err[t]), where err is 1 if the outcome
lay outside. Over T outcomes |mean err - a| <= (max(a1, 1 - a1) + gamma (1 + delay)) / (gamma T), whatever the data. The
score is |outcome - value| / (volatility of past errors), so that intervals are wide in wild times and narrow in calm
ones. One instance a step; an outcome is taken when it is known, not before.
"""

import bisect
import math
from collections import deque
from typing import Annotated

import msgspec
import numpy as np
from msgspec import Meta

from evenhand.training.examples import FloatArray


class Issued(msgspec.Struct, frozen=True):
    """What was promised for one forecast: value -+ reach."""

    value: float
    reach: float
    volatility: float

    def holds(self, outcome: float) -> bool:
        """Whether the outcome lies within."""
        return abs(outcome - self.value) <= self.reach


class ConformalSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`miss`: the share of outcomes that may lie outside. `window`: how many scores count."""

    miss: Annotated[float, Meta(gt=0.0, lt=1.0)] = 0.1
    gamma: Annotated[float, Meta(gt=0.0, lt=1.0)] = 0.01
    window: Annotated[int, Meta(ge=10)] = 1000
    span: Annotated[int, Meta(ge=2)] = 48


class AdaptiveInterval:
    """Intervals for the forecasts of one step."""

    def __init__(self, settings: ConformalSettings | None = None) -> None:
        """Start without scores: the first intervals are infinite."""
        self.settings = settings or ConformalSettings()
        self.miss = self.settings.miss
        self._scores: deque[float] = deque()
        self._sorted: list[float] = []
        self._square: float | None = None

    @property
    def volatility(self) -> float:
        """Root of the exponentially weighted squared error of past forecasts, 1 before there is any."""
        return math.sqrt(self._square) if self._square else 1.0

    def issue(self, value: float) -> Issued:
        """Return the interval for a forecast that is made now. O(1)."""
        return Issued(value, self._quantile() * self.volatility, self.volatility)

    def _quantile(self) -> float:
        """Return the score that `miss` of all scores exceed, with the finite-sample correction."""
        if self.miss <= 0 or not self._sorted:
            return math.inf
        if self.miss >= 1:
            return 0.0
        rank = math.ceil((len(self._sorted) + 1) * (1 - self.miss))
        return self._sorted[rank - 1] if rank <= len(self._sorted) else math.inf

    def mature(self, issued: Issued, outcome: float) -> bool:
        """Take the outcome of a forecast and return whether its interval held. O(log window)."""
        held = issued.holds(outcome)
        self.miss += self.settings.gamma * (self.settings.miss - (not held))
        error = abs(outcome - issued.value)
        score = error / issued.volatility
        self._scores.append(score)
        bisect.insort(self._sorted, score)
        if len(self._scores) > self.settings.window:
            oldest = self._scores.popleft()
            del self._sorted[bisect.bisect_left(self._sorted, oldest)]
        weight = 2.0 / (self.settings.span + 1.0)
        self._square = error**2 if self._square is None else weight * error**2 + (1 - weight) * self._square
        return held


def intervals(
    values: FloatArray, outcomes: FloatArray, delay: int, settings: ConformalSettings | None = None
) -> tuple[FloatArray, FloatArray]:
    """Bounds of the forecasts of one step in order of time, (n,) each; outcome i is known before forecast i + delay."""
    adaptive = AdaptiveInterval(settings)
    issued: list[Issued] = []
    for place, value in enumerate(values.tolist()):
        if place >= delay and math.isfinite(outcomes[place - delay]):
            adaptive.mature(issued[place - delay], float(outcomes[place - delay]))
        issued.append(adaptive.issue(value))
    reach = np.array([each.reach for each in issued])
    return values - reach, values + reach


def error_bound(settings: ConformalSettings, count: int, delay: int = 1) -> float:
    """How far, at most, the share of misses among `count` outcomes lies from `miss`, for any data at all."""
    start = max(settings.miss, 1 - settings.miss)
    return (start + settings.gamma * (1 + delay)) / (settings.gamma * count)
