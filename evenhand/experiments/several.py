"""Several challengers: which of them are better, when the evidence of all is looked at together.

By default alpha is divided among them, which bounds the chance of promoting any that is not better. With e-BH (Wang &
Ramdas, JRSS B 2022) it is the fraction of false ones among those that are called better that stays below alpha,
whatever the dependence between challengers, and they share a champion. Each challenger's e-value is the mixture that
the confidence sequence inverts, so a look after every event is as good as one:

    log E = r S^2 / (2 (n r + 1)) - log(n r + 1) / 2,  S = sum of differences / their standard deviation
"""

import math
from collections.abc import Mapping

from evenhand.events import Moments
from evenhand.experiments.sequential import LEAST, tightness


def log_e_value(moments: Moments, alpha: float, minimum: int) -> float:
    """Against no difference; -inf before the first look."""
    n = moments.n
    if n < max(minimum, LEAST) or moments.m2 <= 0.0:
        return -math.inf
    rho = tightness(alpha, max(minimum, LEAST))
    z = moments.mean * n / math.sqrt(moments.m2 / (n - 1))
    return rho * z * z / (2.0 * (n * rho + 1.0)) - 0.5 * math.log(n * rho + 1.0)


def called(log_e: Mapping[str, float], of: int, alpha: float) -> set[str]:
    """Whom e-BH calls different, of so many challengers: the k greatest whose least is K / (k alpha) at least.

    >>> sorted(called({"b": 5.0, "c": 4.0, "d": 0.0}, 3, 0.05))
    ['b', 'c']
    """
    ordered = sorted(log_e, key=lambda name: (-log_e[name], name))
    enough = [k for k, name in enumerate(ordered, 1) if log_e[name] >= math.log(of / (k * alpha))]
    return set(ordered[: max(enough, default=0)])
