"""Two arms compared within each phase, and the differences averaged: weights that change cannot move an estimate.

Pooled over phases with other weights, an arm that got more traffic on the better days would look better (Simpson).
Within a phase nothing but chance differs. A phase has the weight of its information, n_A n_B / (n_A + n_B) clusters,
which depends on how many there are and not on what they say.
"""

import math
from collections.abc import Callable, Iterable
from typing import NamedTuple

from evenhand.events import CoMoments, Moments
from evenhand.experiments.comoments import ratio

Strata = Iterable[tuple[CoMoments, CoMoments]]
"""Of each phase: champion and challenger, sums of two quantities over clusters."""
One = Callable[[tuple[float, float], tuple[float, float]], tuple[float, float] | None]


class Difference(NamedTuple):
    """Challenger less champion: the mean, the variance of that, and the clusters, as many as two equal arms would."""

    mean: float
    variance: float
    n: float
    shown: str
    champion: float = 0.0


def difference_of_means(strata: Strata) -> Difference | None:
    """R_B - R_A of ratios of sums; None without two clusters of both in any phase."""
    return _averaged(strata, lambda a, b: (b[0] - a[0], a[1] + b[1]))


def log_ratio_of_means(strata: Strata) -> Difference | None:
    """log(R_B / R_A), of phases in which both are positive."""

    def one(a: tuple[float, float], b: tuple[float, float]) -> tuple[float, float] | None:
        if a[0] <= 0.0 or b[0] <= 0.0:
            return None
        return math.log(b[0] / a[0]), a[1] / a[0] ** 2 + b[1] / b[0] ** 2

    return _averaged(strata, one)


def adjusted_difference(strata: Strata) -> Difference | None:
    """The same of means beside a covariate: what it explains is taken out, by one slope of both arms (CUPED).

    theta = (Cxy_A + Cxy_B) / (M2y_A + M2y_B); both arms are moved to their common mean of the covariate.
    """
    adjusted = []
    for champion, challenger in strata:
        spread = champion.m2_y + challenger.m2_y
        theta = (champion.c_xy + challenger.c_xy) / spread if spread > 0.0 else 0.0
        adjusted.append((_without(champion, theta), _without(challenger, theta)))
    return difference_of_means(adjusted)


def _without(sums: CoMoments, theta: float) -> CoMoments:
    """Values less theta times their covariate, each counting once."""
    m2 = max(0.0, sums.m2_x - 2.0 * theta * sums.c_xy + theta * theta * sums.m2_y)
    return CoMoments(sums.n, sums.mean_x - theta * sums.mean_y, 1.0, m2)


def _averaged(strata: Strata, one: One) -> Difference | None:
    total = mean = variance = of_a = of_b = 0.0
    for champion, challenger in strata:
        a, b = ratio(champion), ratio(challenger)
        found = None if a is None or b is None else one(a, b)
        if found is None or a is None or b is None:
            continue
        weight = champion.n * challenger.n / (champion.n + challenger.n)
        total += weight
        mean += weight * found[0]
        variance += weight * weight * found[1]
        of_a, of_b = of_a + weight * a[0], of_b + weight * b[0]
    if not total:
        return None
    shown = f"{of_b / total:.4g} against {of_a / total:.4g}"
    return Difference(mean / total, variance / total**2, 2.0 * total, shown, of_a / total)


def as_moments(found: Difference | None, *, is_better_higher: bool) -> Moments:
    """A difference as n observations with a spread such that m2 / (n - 1) / n is its variance; less is better."""
    n = 0 if found is None else int(found.n)
    if found is None or n < 2:
        return Moments()
    return Moments(n, -found.mean if is_better_higher else found.mean, found.variance * n * (n - 1))
