"""Guardrails: breached, certified safe, or undetermined, with a look after every event.

Errors are rare, so a Normal is wrong for them. Given that an error happened, it is the challenger's with probability
theta = share r / (share r + 1 - share) if its error fraction is r times the champion's and it answers that share of
the requests. So k of m errors test r, whatever the error fraction itself is. Against r <= r0, theta mixed uniformly
over (theta0, 1):

    E = B(k + 1, m - k + 1) P(Beta(k + 1, m - k + 1) > theta0) / ((1 - theta0) theta0^k (1 - theta0)^(m - k))

is a test martingale at r0 and below a supermartingale: it exceeds 1 / alpha ever with probability alpha at most
(Ville). Phases with other shares multiply.

Times and other ratios of means: a confidence sequence of the log ratio, by the delta method over clusters.
"""

import math
from collections.abc import Sequence
from typing import Literal

import msgspec
from scipy.special.cython_special import betaincc

from evenhand.events import Moments
from evenhand.experiments.experiment import Guardrail
from evenhand.experiments.sequential import LEAST, asymptotic_half_width
from evenhand.experiments.strata import Difference, Strata, difference_of_means, log_ratio_of_means

LOG_2, ROUNDING = math.log(2.0), 1e-6
_FAILED = "{} of {} requests failed, of the champion's {} of {}: "
BREACHED, NEGLIGIBLE = _FAILED + "certified more than {:g} times as often", _FAILED + "certified less than {:.2%}"
SAFE = _FAILED + "certified less than {:g} times as often"
UNDETERMINED = _FAILED + "not certified below {:g} times as often"
State = Literal["breached", "safe", "undetermined", "too_good"]


class Watched(msgspec.Struct, frozen=True, gc=False):
    """What is known of a guardrail: its state, the estimate and its interval in the guardrail's unit."""

    state: State
    estimate: float | None
    interval: tuple[float, float] | None
    said: str
    of: tuple[float, ...] = ()

    @property
    def reason(self) -> str:
        """In words; most looks never ask."""
        return self.said.format(*self.of) if self.of else self.said


def log_e_above(k: float, m: float, theta: float) -> float:
    """Log E against a fraction of at most theta, k of m counted, or 0 where it is less; 2 µs.

    >>> round(math.exp(log_e_above(11, 11, 2 / 3)), 1)
    21.5
    """
    if k <= m * theta:
        return 0.0  # no fraction above theta explains that better than theta itself: E is at most 1
    return log_e(k, m, theta)


def reaches(k: float, m: float, theta: float, enough: float) -> bool:
    """Whether log E against a fraction of at most theta is that much; 0.5 µs where it cannot be.

    E is a mean of likelihood ratios, so at most the greatest of them: exp(m KL(k / m, theta)). Where both mode and mean
    of the Beta exceed theta, so does its median, which lies between: the tail is a half at least.
    """
    if k <= m * theta or theta >= 1.0:
        return False
    if k == m:
        return -k * math.log(theta) >= enough and log_e(k, m, theta) >= enough
    p, log, lgamma = k / m, math.log, math.lgamma
    if k * log(p / theta) + (m - k) * log((1.0 - p) / (1.0 - theta)) < enough:
        return False
    a, b = k + 1.0, m - k + 1.0
    if a > (m + 2.0) * theta:
        least = lgamma(a) + lgamma(b) - lgamma(m + 2.0) - LOG_2 - b * math.log1p(-theta) - k * log(theta)
        if least > enough + ROUNDING:
            return True
    return log_e(k, m, theta) >= enough


def log_e(k: float, m: float, theta: float) -> float:
    """Log E as it is, which may multiply over phases."""
    a, b = k + 1.0, m - k + 1.0
    tail = -math.expm1(a * math.log(theta)) if k == m else float(betaincc(a, b, theta))
    if tail <= 0.0:
        return -math.inf
    log_beta = math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)
    return log_beta + math.log(tail) - (m - k + 1.0) * math.log1p(-theta) - k * math.log(theta)


def log_e_below(k: float, m: float, theta: float) -> float:
    """Log E against a fraction of at least theta."""
    return log_e_above(m - k, m, 1.0 - theta)


def share_of_errors(share: float, ratio_of_rates: float) -> float:
    """The challenger's part of the errors, when its rate is so many times the champion's.

    >>> share_of_errors(0.5, 2.0)
    0.6666666666666666
    """
    return share * ratio_of_rates / (share * ratio_of_rates + 1.0 - share)


def watch_errors(
    champion: tuple[int, int], challenger: tuple[int, int], margin: float, harm: float, negligible: float, alpha: float
) -> Watched:
    """The error fractions (errors, requests) of two arms, the guardrail a ratio to the champion.

    Safe when the ratio is certified below `margin`, or when the challenger's own fraction is certified below
    `negligible`: without errors on either side there is no ratio, and nothing to fear. `alpha` is each side's.
    """
    (k_a, n_a), (k_b, n_b) = champion, challenger
    if n_a == 0 or n_b == 0:
        return Watched("undetermined", None, None, "no requests yet")
    share, m = n_b / (n_a + n_b), k_a + k_b
    estimate = k_b / n_b / (k_a / n_a) if k_a else None
    enough = -math.log(alpha)
    if k_b and reaches(k_b, m, share_of_errors(share, harm), enough):
        return Watched("breached", estimate, None, BREACHED, (k_b, n_b, k_a, n_a, harm))
    if negligible > 0.0 and reaches(n_b - k_b, n_b, 1.0 - negligible, enough):
        return Watched("safe", estimate, None, NEGLIGIBLE, (k_b, n_b, k_a, n_a, negligible))
    state: State = "safe" if reaches(m - k_b, m, 1.0 - share_of_errors(share, margin), enough) else "undetermined"
    said = SAFE if state == "safe" else UNDETERMINED
    return Watched(state, estimate, None, said, (k_b, n_b, k_a, n_a, margin))


def watch_counts(
    strata: Sequence[tuple[tuple[int, int], tuple[int, int]]], margin: float, harm: float, alpha: float
) -> Watched:
    """Fractions of different requests (counted, of all), champion and challenger by phase: E multiplies over phases."""
    breach = safe = 0.0
    totals = [0, 0, 0, 0]
    for (k_a, n_a), (k_b, n_b) in strata:
        totals = [total + each for total, each in zip(totals, (k_a, n_a, k_b, n_b), strict=True)]
        if n_a and n_b:
            share, m = n_b / (n_a + n_b), k_a + k_b
            breach += log_e(k_b, m, share_of_errors(share, harm))
            safe += log_e(m - k_b, m, 1.0 - share_of_errors(share, margin))
    k_a, n_a, k_b, n_b = totals
    if not n_a or not n_b:
        return Watched("undetermined", None, None, "nothing is counted of both variants yet")
    estimate = k_b / n_b / (k_a / n_a) if k_a else None
    shown, enough = f"{k_b} of {n_b}, of the champion's {k_a} of {n_a}", -math.log(alpha)
    if breach >= enough:
        return Watched("breached", estimate, None, f"{shown}: certified above {harm:g} times as often")
    if safe >= enough:
        return Watched("safe", estimate, None, f"{shown}: certified below {margin:g} times as often")
    return Watched("undetermined", estimate, None, f"{shown}: not certified below {margin:g} times as often")


def watch_ratio(
    strata: Strata, margin: float, harm: float, too_good: float | None, alpha: float, *, of_logarithms: bool = False
) -> Watched:
    """A ratio of means over clusters of (sum, count), such as response times by user; the guardrail a ratio, too.

    log(R_B / R_A) with V = V_A / R_A^2 + V_B / R_B^2, averaged over phases. Of means of logarithms, R_B - R_A.
    `alpha` is each side's, so the sequence has twice that.
    """
    found = difference_of_means(strata) if of_logarithms else log_ratio_of_means(strata)
    if found is None or found.n < LEAST:
        return _too_few(found)
    half = _half_width(found, alpha)
    d = found.mean
    return _placed(_ratio(d), (_ratio(d - half), _ratio(d + half)), margin, harm, too_good, f"{found.shown}, ratio")


def watch_difference(strata: Strata, margin: float, harm: float, too_good: float | None, alpha: float) -> Watched:
    """The same, the guardrail a difference in the metric's own unit."""
    found = difference_of_means(strata)
    if found is None or found.n < LEAST:
        return _too_few(found)
    half = _half_width(found, alpha)
    interval = found.mean - half, found.mean + half
    return _placed(found.mean, interval, margin, harm, too_good, f"{found.shown}, difference")


def watch_loss(
    champion: Moments, own: Moments, paired: Moments, inflation: float, guardrail: Guardrail, alpha: float
) -> Watched:
    """The success metric itself: the ratio of mean losses, or their difference, on the same clusters.

    The variance of the paired difference gives the covariance. `inflation` is by how much the variance of a mean over
    blocks exceeds that over clusters, where forecasts overlap.
    """
    n, harm = paired.n, guardrail.margin if guardrail.harm is None else guardrail.harm
    if n < LEAST or champion.mean <= 0.0 or own.mean <= 0.0:
        return Watched("undetermined", None, None, f"{n} clusters, {LEAST} are wanted")
    v_a, v_b, v_d = (each.m2 / max(1, each.n - 1) / each.n for each in (champion, own, paired))
    shown = f"{own.mean:.4g} against {champion.mean:.4g}"
    if guardrail.unit == "difference":
        found = Difference(paired.mean, inflation * v_d, n, shown)
        half = _half_width(found, alpha)
        d, interval = found.mean, (found.mean - half, found.mean + half)
        return _placed(d, interval, guardrail.margin, harm, guardrail.too_good, f"{shown}, difference")
    covariance = 0.5 * (v_a + v_b - v_d)
    a, b = champion.mean, own.mean
    variance = max(0.0, v_a / a**2 + v_b / b**2 - 2.0 * covariance / (a * b))
    half = _half_width(Difference(0.0, inflation * variance, n, shown), alpha)
    d = math.log(b / a)
    interval = _ratio(d - half), _ratio(d + half)
    return _placed(_ratio(d), interval, guardrail.margin, harm, guardrail.too_good, f"{shown}, ratio")


def _ratio(log: float) -> float:
    """The ratio of a logarithm: of a mean next to zero the interval ends beyond the numbers, and stays at their end."""
    return math.exp(min(log, 700.0))


def _too_few(found: Difference | None) -> Watched:
    n = 0 if found is None else found.n
    return Watched("undetermined", None, None, f"{n:.0f} clusters of both variants, {LEAST} are wanted")


def _half_width(found: Difference, alpha: float) -> float:
    return float(asymptotic_half_width(found.n, math.sqrt(found.variance * found.n), 2.0 * alpha, 500.0))


def _placed(
    estimate: float, interval: tuple[float, float], margin: float, harm: float, too_good: float | None, shown: str
) -> Watched:
    low, high = interval
    shown = f"{shown} {estimate:.4g} in [{low:.4g}, {high:.4g}]"
    if low > harm:
        return Watched("breached", estimate, interval, f"{shown}: certified above {harm:g}")
    if too_good is not None and high < too_good:
        return Watched("too_good", estimate, interval, f"{shown}: below {too_good:g}, which nobody would believe")
    if high < margin:
        return Watched("safe", estimate, interval, f"{shown}: certified below {margin:g}")
    return Watched("undetermined", estimate, interval, f"{shown}: not certified below {margin:g}")
