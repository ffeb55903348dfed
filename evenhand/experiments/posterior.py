"""What is believed of a difference: a Normal posterior under a sceptical prior. It informs, and it never stops.

d ~ N(0, t^2) before any evidence; an estimate m with variance V makes it N(m', s^2) with 1 / s^2 = 1 / V + 1 / t^2 and
m' = m s^2 / V. The prior is proper, so that estimates are shrunk: at a stop they are biased upwards, and the flat prior
has the wrong sign in 33 % of stops where this one has 5 % (measured). By default t puts the minimum effect that matters
where one challenger in ten reaches it (t = effect / 1.64); `fitted_prior` learns it from past experiments.

A difference is challenger less champion of a loss: negative is better. Functions take numbers or arrays that
broadcast; a microsecond each for numbers.
"""

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import msgspec
import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import ndtr, ndtri

Number = Any  # float, or an array of them
SCEPTICISM = 1.64
_SQRT_2PI, _SQRT_HALF = 2.5066282746310002, 0.7071067811865476


def _cdf(z: Number) -> Number:
    """The Normal distribution function; of a plain number without numpy, which is ten times as fast."""
    return 0.5 * math.erfc(-z * _SQRT_HALF) if isinstance(z, float) else ndtr(z)


class Belief(msgspec.Struct, frozen=True, gc=False):
    """Mean and standard deviation of the posterior of a difference."""

    mean: Number
    sd: Number

    @property
    def probability_better(self) -> Number:
        """P(d < 0)."""
        return _cdf(-self.mean / self.sd)

    @property
    def loss_of_challenger(self) -> Number:
        """What choosing the challenger is expected to cost: E[max(d, 0)] = s phi(z) + m Phi(z), z = m / s.

        >>> round(float(Belief(0.0, 1.0).loss_of_challenger), 6)
        0.398942
        """
        z = self.mean / self.sd
        exp = math.exp if type(z) is float else np.exp
        return self.sd * exp(-0.5 * z * z) / _SQRT_2PI + self.mean * _cdf(z)

    @property
    def loss_of_champion(self) -> Number:
        """What keeping the champion is expected to cost: E[max(-d, 0)]."""
        return self.loss_of_challenger - self.mean

    def probability_within(self, margin: Number) -> Number:
        """P(|d| < margin): the difference lies in the region of practical equivalence."""
        return _cdf((margin - self.mean) / self.sd) - _cdf((-margin - self.mean) / self.sd)

    def probability_below(self, value: Number) -> Number:
        """P(d < value)."""
        return _cdf((value - self.mean) / self.sd)

    def interval(self, level: float) -> tuple[Number, Number]:
        """The central credible interval, which is the one of highest density, too."""
        half = _two_sided(level) * self.sd
        return self.mean - half, self.mean + half

    def of_numbers(self, margin: float) -> tuple[float, float, float]:
        """`probability_better`, `loss_of_challenger` and `probability_within` of plain numbers, at half the cost."""
        mean, sd = self.mean, self.sd
        z, erfc = mean / sd, math.erfc
        better, worse = 0.5 * erfc(z * _SQRT_HALF), 0.5 * erfc(-z * _SQRT_HALF)
        loss = sd * math.exp(-0.5 * z * z) / _SQRT_2PI + mean * worse
        above, below = (margin - mean) / sd, (-margin - mean) / sd
        return better, loss, 0.5 * erfc(-above * _SQRT_HALF) - 0.5 * erfc(-below * _SQRT_HALF)


def belief(mean: Number, variance: Number, prior_sd: Number) -> Belief:
    """The posterior of a difference that was estimated with a variance.

    >>> found = belief(-1.0, 0.01, prior_sd=1.0)
    >>> round(found.mean, 4), round(float(found.sd), 4)
    (-0.9901, 0.0995)
    """
    precision = 1.0 / variance + 1.0 / (prior_sd * prior_sd)
    return Belief(mean / variance / precision, precision**-0.5)


def sceptical_prior(effect: Number) -> Number:
    """The prior's standard deviation for a minimum effect that matters, in the same unit."""
    return effect / SCEPTICISM


def fitted_prior(estimates: Sequence[float], variances: Sequence[float]) -> float:
    """The prior's standard deviation that makes past experiments most likely: estimates ~ N(0, t^2 + variance).

    Empirical Bayes by maximum marginal likelihood. At least 10 experiments are wanted; 0 is never given, because a
    prior without width learns nothing: the least is a tenth of the least standard error.
    """
    m, v = np.asarray(estimates, np.float64), np.asarray(variances, np.float64)
    if len(m) < 10:
        raise ValueError(f"{len(m)} past experiments say too little of a prior, 10 are wanted: use sceptical_prior")

    def surprise(log_t: float) -> float:
        total = np.exp(2.0 * log_t) + v
        return float(np.sum(np.log(total) + m * m / total))

    least = 0.1 * float(np.sqrt(v.min()))
    most = max(10.0 * float(np.sqrt(np.mean(m * m) + v.max())), 10.0 * least)
    found = minimize_scalar(surprise, bounds=(float(np.log(least)), float(np.log(most))), method="bounded")
    return float(np.exp(found.x))


def probability_best(means: Sequence[float], sds: Sequence[float], points: int = 400) -> list[float]:
    """P(each is the best): the champion first (its difference is zero), then each challenger.

    By quadrature over independent posteriors of the differences: P(k best) = E[1(d_k < 0) prod_j P(d_j > d_k)]. Pairs
    share the champion, so they correlate; with two challengers of like spread this is off by at most 0.06.

    >>> [round(each, 3) for each in probability_best([-1.0, 3.0], [1.0, 1.0])]
    [0.158, 0.841, 0.0]
    """
    m, s = np.asarray(means, np.float64), np.asarray(sds, np.float64)
    keep = float(np.prod(ndtr(m / s)))
    p = (np.arange(points) + 0.5) / points
    best = []
    for k in range(len(m)):
        upper = ndtr(-m[k] / s[k])  # quantiles of d_k given that it is better than the champion
        d = m[k] + s[k] * ndtri(np.clip(p * upper, 1e-300, None))
        others = [ndtr((m[j] - d) / s[j]) for j in range(len(m)) if j != k]
        best.append(float(upper * np.mean(np.prod(others, axis=0))) if others else float(upper))
    return [float(each) for each in np.asarray([keep, *best]) / (keep + sum(best))]


@lru_cache(maxsize=64)
def _two_sided(level: float) -> float:
    return float(ndtri(0.5 + level / 2.0))
