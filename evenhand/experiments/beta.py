"""Fractions with few counts, exactly: Beta posteriors where a Normal would be wrong.

k of n under Beta(a, b) gives Beta(a + k, b + n - k); Jeffreys' a = b = 1/2 by default. Two arms are compared by
quadrature over the quantiles of one of them, to 1e-4 or better. Above `ENOUGH` of n p (1 - p) a Normal does as well.
"""

import numpy as np
from scipy.special import betainc, betaincinv

ENOUGH = 30.0
_POINTS, _WEIGHTS = np.polynomial.legendre.leggauss(32)
_P, _W = 0.5 * (_POINTS + 1.0), 0.5 * _WEIGHTS


def probability_greater(b: tuple[float, float], a: tuple[float, float], margin: float = 0.0) -> float:
    """P(p_B > p_A + margin), of two Beta distributions given by their parameters; 20 µs.

    >>> round(probability_greater((1.0, 1.0), (1.0, 1.0)), 6)
    0.5
    >>> round(probability_greater((3.5, 97.5), (0.5, 100.5)), 4)
    0.9678
    """
    at = betaincinv(a[0], a[1], _P) + margin
    return float(np.sum(_W * (1.0 - betainc(b[0], b[1], np.clip(at, 0.0, 1.0)))))


def expected_excess(b: tuple[float, float], a: tuple[float, float]) -> float:
    """E[max(p_B - p_A, 0)]: what choosing B is expected to cost where p is a loss.

    E[p_B 1(p_B > x)] = E[p_B] P(Beta(b0 + 1, b1) > x), over the quantiles x of A.

    >>> round(expected_excess((1.0, 1.0), (1.0, 1.0)), 4)
    0.1667
    """
    x = betaincinv(a[0], a[1], _P)
    mean = b[0] / (b[0] + b[1])
    excess = mean * (1.0 - betainc(b[0] + 1.0, b[1], x)) - x * (1.0 - betainc(b[0], b[1], x))
    return float(np.sum(_W * excess))


def after(k: int, n: int, prior: tuple[float, float] = (0.5, 0.5)) -> tuple[float, float]:
    """The posterior of a fraction, k of n counted."""
    return prior[0] + k, prior[1] + n - k


def is_small(k: int, n: int) -> bool:
    """Whether there are too few counts for a Normal."""
    return n == 0 or k * (n - k) / n < ENOUGH
