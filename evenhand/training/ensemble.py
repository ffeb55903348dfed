"""Many forecasts made one. The random walk (zero) is always among the experts, so no ensemble must follow a bad crowd.

Fixed weights: equal, inverse loss, stacking. Learned online from matured outcomes: Bernstein online aggregation (BOA,
Wintenberger 2017) with the gradient trick and fixed share (Herbster and Warmuth 1998) for worlds that change.
"""

import math
from collections import deque
from collections.abc import Callable
from typing import Annotated

import msgspec
import numpy as np
from msgspec import Meta

from evenhand.training.examples import FloatArray, IntArray


def with_random_walk(forecasts: FloatArray) -> FloatArray:
    """Forecasts of experts (n, k) and, as the last of (n, k + 1), of the random walk."""
    return np.column_stack([forecasts, np.zeros(len(forecasts))])


def equal(forecasts: FloatArray, outcomes: FloatArray) -> FloatArray:  # noqa: ARG001  one signature for all
    """Weights 1 / k, whatever happened."""
    return np.full(forecasts.shape[1], 1.0 / forecasts.shape[1])


def inverse_loss(forecasts: FloatArray, outcomes: FloatArray) -> FloatArray:
    """Weights in proportion to 1 / mean squared error (Bates and Granger 1969, without correlations)."""
    known = np.isfinite(outcomes)
    loss = ((forecasts[known] - outcomes[known, None]) ** 2).mean(axis=0)
    weights = 1.0 / np.maximum(loss, np.finfo(np.float64).tiny)
    normalised: FloatArray = weights / weights.sum()
    return normalised


def stacking(forecasts: FloatArray, outcomes: FloatArray) -> FloatArray:
    """Weights >= 0 of sum 1 that minimise the squared error (Breiman 1996), by non-negative least squares.

    `forecasts` must be out of fold. A row of great weight asks for the sum of 1; the rest is scaled by the outcomes.
    """
    from scipy.optimize import nnls  # noqa: PLC0415  for fitting only

    known = np.isfinite(outcomes)
    scale = math.sqrt(float((outcomes[known] ** 2).mean())) if known.any() else 0.0
    if scale == 0:
        return equal(forecasts, outcomes)
    heavy = 1e3 * math.sqrt(known.sum())
    weights, _ = nnls(
        np.vstack([forecasts[known] / scale, np.full((1, forecasts.shape[1]), heavy)]),
        np.append(outcomes[known] / scale, heavy),
    )
    normalised: FloatArray = weights / weights.sum()
    return normalised


Rule = Callable[[FloatArray, FloatArray], FloatArray]


def by_fold(rule: Rule, forecasts: FloatArray, outcomes: FloatArray, folds: IntArray, delay: int) -> FloatArray:
    """Forecasts (n,) by weights that a rule found, for each fold, in what had matured before it; equal in the first."""
    values = np.empty(len(forecasts))
    for fold in np.unique(folds):
        places = np.flatnonzero(folds == fold)
        seen = max(0, int(places[0]) - delay + 1)
        weights = rule(forecasts[:seen], outcomes[:seen]) if np.isfinite(outcomes[:seen]).any() else None
        values[places] = forecasts[places] @ (equal(forecasts, outcomes) if weights is None else weights)
    return values


class BoaSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`share` is mixed in of the uniform weights at each outcome; `span` is of the scale of outcomes.

    Returns teach slowly: a share of 1/1000 cost 3 % of the squared error where the best expert stayed the best.
    """

    share: Annotated[float, Meta(ge=0.0, lt=1.0)] = 0.0001
    span: Annotated[int, Meta(ge=2)] = 500


# One small outcome must not be what all others are measured by: a gradient a thousand times too large would stay the
# greatest for ever, and nothing would be learned any more.
WARM_UP = 20


class BoaState(msgspec.Struct):
    """All that BOA knows, to be written as JSON and restored."""

    weights: list[float]
    squares: list[float]
    greatest: float = 0.0
    scale: float = 0.0
    count: int = 0


class Boa:
    """Weights of experts for one step, learned one matured outcome at a time. O(experts) each.

    With r_k = <w, g> - g_k, where g_k = 2 (yhat - y) f_k / s^2 and w are the weights that made yhat:
    w_k <- w_k exp(eta_k r_k (1 - eta_k r_k)), eta_k = min(1 / (2 max |r|), sqrt(ln K / sum r_k^2)); experts are mixed
    with eta_k w_k. s^2 is the exponentially weighted square of outcomes before this one; the first 20 only say how
    large outcomes are.
    """

    def __init__(self, experts: int, settings: BoaSettings | None = None, state: BoaState | None = None) -> None:
        """Start with equal weights, or go on from a state."""
        self.settings = settings or BoaSettings()
        self.state = state or BoaState([1.0 / experts] * experts, [0.0] * experts)

    def _rates(self) -> FloatArray:
        squares = np.array(self.state.squares)
        rates = np.sqrt(math.log(max(2, len(squares))) / np.maximum(squares, np.finfo(np.float64).tiny))
        cap = 1.0 / (2.0 * self.state.greatest) if self.state.greatest > 0 else 1.0
        found: FloatArray = np.minimum(rates, cap)
        return found

    @property
    def weights(self) -> FloatArray:
        """Weights for a forecast that is made now, of sum 1."""
        weights = self._rates() * np.array(self.state.weights)
        normalised: FloatArray = weights / weights.sum()
        return normalised

    def learn(self, used: FloatArray, forecasts: FloatArray, outcome: float) -> None:
        """Take an outcome, what the experts had forecast for it (k,), and the weights that were used then (k,)."""
        state = self.state
        scale = state.scale
        if scale > 0 and state.count >= WARM_UP:
            gradient = 2.0 * (float(used @ forecasts) - outcome) * forecasts / scale
            regret = float(used @ gradient) - gradient
            state.greatest = max(state.greatest, float(abs(regret).max()))
            state.squares = (np.array(state.squares) + regret**2).tolist()
            rates = self._rates()
            # Logarithms first: an expert that was far off for long must not vanish by underflow.
            logs = np.log(np.array(state.weights)) + rates * regret * (1.0 - rates * regret)
            weights = np.exp(logs - logs.max())
            weights /= weights.sum()
            share = self.settings.share
            floor = np.finfo(np.float64).tiny
            state.weights = np.maximum(floor, (1.0 - share) * weights + share / len(weights)).tolist()
        state.count += 1
        weight = max(2.0 / (self.settings.span + 1.0), 1.0 / state.count)
        state.scale = scale + weight * (outcome**2 - scale)


class Mixed(msgspec.Struct, frozen=True):
    """Forecasts of an ensemble (n,) and the weights that made each (n, experts)."""

    values: FloatArray
    weights: FloatArray


def mix(
    forecasts: FloatArray,
    outcomes: FloatArray,
    delay: int,
    settings: BoaSettings | None = None,
    boa: Boa | None = None,
) -> Mixed:
    """Run BOA over forecasts (n, experts) in order of time; outcome i is known before forecast i + delay.

    `boa` is what it goes on from, and where what was learned is left, of the last outcomes, too.
    """
    boa = boa or Boa(forecasts.shape[1], settings)
    waiting: deque[FloatArray] = deque()
    weights = np.empty_like(forecasts)
    for place in range(len(forecasts)):
        if place >= delay:
            used, matured = waiting.popleft(), place - delay
            if math.isfinite(outcomes[matured]):
                boa.learn(used, forecasts[matured], float(outcomes[matured]))
        weights[place] = boa.weights
        waiting.append(weights[place])
    for place in range(max(0, len(forecasts) - delay), len(forecasts)):  # what matures after the last forecast
        if math.isfinite(outcomes[place]):
            boa.learn(waiting[place - len(forecasts)], forecasts[place], float(outcomes[place]))
    return Mixed((weights * forecasts).sum(axis=1), weights)


def regret_bound(count: int, experts: int, greatest: float, delay: int = 1) -> float:
    """Bound on the sum of losses over that of the best expert, for linearised losses of range `greatest`.

    Hedge: range x sqrt(count ln(experts) / 2) (Cesa-Bianchi and Lugosi 2006, theorem 2.2), times sqrt(delay) for
    outcomes that come late (Joulani et al. 2013).
    """
    return greatest * math.sqrt(count * math.log(max(2, experts)) / 2.0 * max(1, delay))
