"""Sums of two metrics that add up, and what follows from them: ratios, and differences adjusted for a covariate.

The bivariate form of Chan, Golub & LeVeque (1983); see `evidence.merge` for the univariate one.
"""

import math
from collections.abc import Sequence

from evenhand.events import CoMoments, Moments


def centre(values: Sequence[float]) -> tuple[float, float]:
    """The mean, and what rounding took from it."""
    mean = math.fsum(values) / len(values)
    return mean, math.fsum([value - mean for value in values]) / len(values)


def split_sum(a: float, b: float) -> tuple[float, float]:
    """The sum, and what rounding took from it, exactly (Knuth's two-sum).

    >>> split_sum(1e16, 1.0)
    (1e+16, 1.0)
    """
    total = a + b
    part = total - a
    return total, (a - (total - part)) + (b - part)


def comoments(x: Sequence[float], y: Sequence[float]) -> CoMoments:
    """Of two lists of equal length, correctly rounded; O(n).

    >>> comoments([1.0, 2.0, 3.0], [2.0, 4.0, 6.0]).c_xy
    4.0
    """
    n = len(x)
    if n == 0:
        return CoMoments()
    (mean_x, low_x), (mean_y, low_y) = centre(x), centre(y)
    dx, dy = [value - mean_x - low_x for value in x], [value - mean_y - low_y for value in y]
    return CoMoments(
        n, mean_x, mean_y, math.fsum([d * d for d in dx]), math.fsum([d * d for d in dy]),
        math.fsum([a * b for a, b in zip(dx, dy, strict=True)]), low_x, low_y,
    )  # fmt: skip


def merge_comoments(a: CoMoments, b: CoMoments) -> CoMoments:
    """Of both together; associative and commutative to rounding."""
    if a.n == 0 or b.n == 0:
        return a if b.n == 0 else b
    n, dx, dy = a.n + b.n, (b.mean_x - a.mean_x) + (b.low_x - a.low_x), (b.mean_y - a.mean_y) + (b.low_y - a.low_y)
    share, weight = b.n / n, a.n * b.n / n
    mean_x, low_x = split_sum(a.mean_x, dx * share + a.low_x)
    mean_y, low_y = split_sum(a.mean_y, dy * share + a.low_y)
    return CoMoments(
        n, mean_x, mean_y, a.m2_x + b.m2_x + dx * dx * weight, a.m2_y + b.m2_y + dy * dy * weight,
        a.c_xy + b.c_xy + dx * dy * weight, low_x, low_y,
    )  # fmt: skip


def ratio(sums: CoMoments) -> tuple[float, float] | None:
    """Mean of x over mean of y, and the variance of that; None with fewer than two clusters or no y.

    The delta method over k clusters of (sum, count): R = mx / my, V = [s2x - 2 R sxy + R^2 s2y] / (k my^2), in the
    unit of x a unit of y (Deng et al. 2017). Correlation within a cluster is in it: it is the cluster that counts.

    >>> value, variance = ratio(comoments([10.0, 40.0, 30.0], [1.0, 2.0, 3.0]))
    >>> round(value, 3), round(variance, 3)
    (13.333, 12.037)
    """
    if sums.n < 2 or sums.mean_y == 0.0:
        return None
    value = sums.mean_x / sums.mean_y
    spread = sums.m2_x - 2.0 * value * sums.c_xy + value * value * sums.m2_y
    return value, max(0.0, spread) / (sums.n - 1) / sums.n / sums.mean_y**2


def adjusted(sums: CoMoments, covariate_mean: float) -> Moments:
    """Moments of x less what a covariate y explains of it: CUPED (Deng et al. 2013).

    x - theta (y - covariate_mean) with theta = cxy / m2y. `covariate_mean` is the mean of y over both arms (or over
    all time, for paired differences); y must be known before exposure, such as the champion's trailing loss. Variance
    falls by the squared correlation. One degree of freedom goes to theta: m2 is scaled so that m2 / (n - 1) is
    unbiased.

    >>> moments = adjusted(comoments([1.0, 2.1, 2.9, 4.0], [1.0, 2.0, 3.0, 4.0]), 2.5)
    >>> round(moments.mean, 6), round(moments.m2, 6)
    (2.5, 0.027)
    """
    if sums.n < 3 or sums.m2_y <= 0.0:
        return Moments(sums.n, sums.mean_x, sums.m2_x)
    theta = sums.c_xy / sums.m2_y
    left = max(0.0, sums.m2_x - theta * sums.c_xy)
    return Moments(sums.n, sums.mean_x - theta * (sums.mean_y - covariate_mean), left * (sums.n - 1) / (sums.n - 2))
