"""What few events say of a burn rate: a posterior in place of a share of bad ones."""

from scipy.special import betaincc

from evenhand.slo.objective import Objective

LEAST_EVENTS = 1000
_PRIOR = 10.0  # events that the prior is worth


def probability_burning(objective: Objective, good: int, bad: int, factor: float) -> float:
    """P(share of bad > factor * budget), of Beta(10 b + bad, 10 (1 - b) + good): ten events at the budget b before.

    One bad event of two says little, and five of five say enough:

    >>> from evenhand.slo.objective import Objective
    >>> errors = Objective(name="e", metric="error_fraction", comparison="<", threshold=0.01, unit="fraction")
    >>> [probability_burning(errors, 1, 1, 14.4) > 0.95, probability_burning(errors, 0, 5, 14.4) > 0.95]
    [False, True]
    """
    b = objective.budget
    return float(betaincc(_PRIOR * b + bad, _PRIOR * (1 - b) + good, min(1.0, factor * b)))
