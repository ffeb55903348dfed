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
from typing import Literal

import msgspec
import numpy as np
from scipy.special import betainc, betaln

from evenhand.events import CoMoments
from evenhand.experiments.comoments import ratio
from evenhand.experiments.sequential import LEAST, asymptotic_half_width

State = Literal["breached", "safe", "undetermined", "too_good"]


class Watched(msgspec.Struct, frozen=True):
    """What is known of a guardrail: its state, the estimate and its interval in the guardrail's unit."""

    state: State
    estimate: float | None
    interval: tuple[float, float] | None
    reason: str


def log_e_above(k: float, m: float, theta: float) -> float:
    """Log E against a fraction of at most theta, k of m counted, or 0 where it is less; 3 µs.

    >>> round(math.exp(log_e_above(11, 11, 2 / 3)), 1)
    21.5
    """
    if k <= m * theta:
        return 0.0  # no fraction above theta explains that better than theta itself: E is at most 1
    tail = 1.0 - betainc(k + 1.0, m - k + 1.0, theta)
    if tail <= 0.0:
        return -math.inf
    return float(
        betaln(k + 1.0, m - k + 1.0) + np.log(tail)
        - math.log1p(-theta) - k * math.log(theta) - (m - k) * math.log1p(-theta)
    )  # fmt: skip


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
    shown = f"{k_b} of {n_b} requests failed, of the champion's {k_a} of {n_a}"
    estimate = k_b / n_b / (k_a / n_a) if k_a else None
    enough = -math.log(alpha)
    if log_e_above(k_b, m, share_of_errors(share, harm)) >= enough:
        return Watched("breached", estimate, None, f"{shown}: certified more than {harm:g} times as often")
    if negligible > 0.0 and log_e_below(k_b, n_b, negligible) >= enough:
        return Watched("safe", estimate, None, f"{shown}: certified less than {negligible:.2%}")
    if log_e_below(k_b, m, share_of_errors(share, margin)) >= enough:
        return Watched("safe", estimate, None, f"{shown}: certified less than {margin:g} times as often")
    return Watched("undetermined", estimate, None, f"{shown}: not certified below {margin:g} times as often")


def watch_ratio(
    champion: CoMoments, challenger: CoMoments, margin: float, harm: float, too_good: float | None, alpha: float
) -> Watched:
    """A ratio of means over clusters of (sum, count), such as response times by user; the guardrail a ratio, too.

    log(R_B / R_A) with V = V_A / R_A^2 + V_B / R_B^2. `alpha` is each side's, so the sequence has twice that.
    """
    a, b = ratio(champion), ratio(challenger)
    n = min(champion.n, challenger.n)
    if a is None or b is None or n < LEAST or a[0] <= 0.0 or b[0] <= 0.0:
        return Watched("undetermined", None, None, f"{n} clusters in the smaller arm, {LEAST} are wanted")
    variance = a[1] / a[0] ** 2 + b[1] / b[0] ** 2
    log_ratio, half = math.log(b[0] / a[0]), _half_width(champion.n, challenger.n, variance, alpha)
    low, high = math.exp(log_ratio - half), math.exp(log_ratio + half)
    return _placed(b[0] / a[0], (low, high), margin, harm, too_good, f"{b[0]:.4g} against {a[0]:.4g}, ratio")


def watch_difference(
    champion: CoMoments, challenger: CoMoments, margin: float, harm: float, too_good: float | None, alpha: float
) -> Watched:
    """The same, the guardrail a difference in the metric's own unit."""
    a, b = ratio(champion), ratio(challenger)
    n = min(champion.n, challenger.n)
    if a is None or b is None or n < LEAST:
        return Watched("undetermined", None, None, f"{n} clusters in the smaller arm, {LEAST} are wanted")
    half = _half_width(champion.n, challenger.n, a[1] + b[1], alpha)
    d = b[0] - a[0]
    return _placed(d, (d - half, d + half), margin, harm, too_good, f"{b[0]:.4g} against {a[0]:.4g}, difference")


def _half_width(n_a: int, n_b: int, variance: float, alpha: float) -> float:
    """Time is the information: a harmonic sample size, so that unequal arms have one clock."""
    n = n_a * n_b / (n_a + n_b)
    return float(asymptotic_half_width(n, math.sqrt(variance * n), 2.0 * alpha, 500.0))


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
