"""Samples that the oracles and we are asked about, by the standard library alone: an oracle's environment is old."""

import math
import random

CASES = 240
BIG = 1e9
LEVELS, PRIORS, ENDS = (0.9, 0.95, 0.99), (0.01, 0.1, 0.5), (100.0, 500.0, 5000.0)


def pair(case: int) -> tuple[list[float], list[float]]:
    """A champion's and a challenger's losses: normal, lognormal, of a coin, or with a tail; some differ."""
    r = random.Random(case)
    kind, shift = case % 4, (0.0, -0.1, 0.3)[case % 3]
    sizes = r.randint(20, 400), r.randint(20, 400)

    def one() -> float:
        if kind == 0:
            return r.gauss(2.0, 1.0)
        if kind == 1:
            return r.lognormvariate(0.0, 0.7)
        if kind == 2:
            return float(r.random() < 0.4)
        return math.copysign(r.paretovariate(3.0), r.random() - 0.2) + 2.0

    return [one() for _ in range(sizes[0])], [one() + shift for _ in range(sizes[1])]


def clusters(case: int) -> tuple[list[float], list[float]]:
    """Sums and counts by cluster."""
    r = random.Random(10_000 + case)
    counts = [float(r.randint(1, 9)) for _ in range(r.randint(20, 200))]
    return [sum(r.lognormvariate(0.0, 0.5) for _ in range(int(count))) for count in counts], counts


def settings(case: int) -> tuple[float, float, float]:
    """Alpha, the prior's standard deviation, and where the confidence sequence is tightest."""
    return 1.0 - LEVELS[case % 3], PRIORS[case // 3 % 3], ENDS[case // 9 % 3]


def around_a_billion() -> list[float]:
    """Values whose variance is near 1, and whose squares have no room for it."""
    r = random.Random(8)
    return [BIG + r.gauss(0.0, 1.0) for _ in range(1000)]
