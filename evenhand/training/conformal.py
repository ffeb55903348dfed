"""Intervals that hold what they promise: adaptive conformal inference, scaled by volatility.

Adaptive conformal inference (Gibbs and Candes 2021): a[t+1] = a[t] + gamma (a - err[t]), where err is 1 if the outcome
lay outside. Over T outcomes |mean err - a| <= (max(a1, 1 - a1) + gamma (1 + delay)) / (gamma T), whatever the data. The
score is |outcome - value| / (volatility of past errors), so that intervals are wide in wild times and narrow in calm
ones. One instance a step; an outcome is taken when it is known, not before.
"""

import bisect
import math
from typing import Annotated

import msgspec
import numpy as np
from msgspec import Meta

NORMAL_90 = 1.6448536269514722  # standard deviations of a Normal, either side of its mean, that hold 90 %


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


class ConformalState(msgspec.Struct):
    """All that an interval knows, to be written as JSON and restored: the newest scores, the oldest first."""

    miss: float
    scores: list[float] = []
    square: float | None = None


class AdaptiveInterval:
    """Intervals for the forecasts of one step."""

    def __init__(self, settings: ConformalSettings | None = None, state: ConformalState | None = None) -> None:
        """Start without scores: the first intervals are infinite. Or go on from a state."""
        self.settings = settings or ConformalSettings()
        self.state = state or ConformalState(self.settings.miss)
        self._sorted = sorted(self.state.scores)

    @property
    def volatility(self) -> float:
        """Root of the exponentially weighted squared error of past forecasts, 1 before there is any."""
        return math.sqrt(self.state.square) if self.state.square else 1.0

    def issue(self, value: float, volatility: float | None = None) -> Issued:
        """Return the interval for a forecast that is made now, at a volatility that the caller may know. O(1)."""
        spread = self.volatility if volatility is None else volatility
        return Issued(value, self.quantile() * spread, spread)

    def quantile(self) -> float:
        """Return the score that `miss` of all scores exceed, with the finite-sample correction."""
        if self.state.miss <= 0 or not self._sorted:
            return math.inf
        if self.state.miss >= 1:
            return 0.0
        rank = math.ceil((len(self._sorted) + 1) * (1 - self.state.miss))
        return self._sorted[rank - 1] if rank <= len(self._sorted) else math.inf

    def finite_quantile(self) -> float:
        """Return `quantile` as a number that can be sent: between the least score and twice the greatest."""
        if not self._sorted:
            return NORMAL_90
        least, most = max(self._sorted[0], np.finfo(np.float64).tiny), max(2 * self._sorted[-1], 1e-9)
        return min(max(self.quantile(), least), most)

    def mature(self, issued: Issued, outcome: float) -> bool:
        """Take the outcome of a forecast and return whether its interval held. O(log window)."""
        state, held = self.state, issued.holds(outcome)
        state.miss += self.settings.gamma * (self.settings.miss - (not held))
        error = abs(outcome - issued.value)
        score = float(f"{error / issued.volatility:.6g}")  # as much as a quantile needs, and short when written
        state.scores.append(score)
        bisect.insort(self._sorted, score)
        if len(state.scores) > self.settings.window:
            oldest = state.scores.pop(0)
            del self._sorted[bisect.bisect_left(self._sorted, oldest)]
        weight = 2.0 / (self.settings.span + 1.0)
        state.square = error**2 if state.square is None else weight * error**2 + (1 - weight) * state.square
        return held


def error_bound(settings: ConformalSettings, count: int, delay: int = 1) -> float:
    """How far, at most, the share of misses among `count` outcomes lies from `miss`, for any data at all."""
    start = max(settings.miss, 1 - settings.miss)
    return (start + settings.gamma * (1 + delay)) / (settings.gamma * count)
