"""Sample ratio mismatch, looked at after every event: whether the counts of the arms follow from their weights.

Against multinomial weights p, with a Dirichlet(kappa p) prior over what else they might be, the Bayes factor

    E = Gamma(kappa) / Gamma(kappa + n) prod_k Gamma(kappa p_k + n_k) / Gamma(kappa p_k) / prod_k p_k^n_k

is a test martingale (Lindon & Malek, NeurIPS 2022): it exceeds 1 / alpha ever with probability alpha at most. The
same on matured outcomes finds arms whose outcomes come back less often. Phases multiply, so a ramp is no mismatch.
What is counted must be drawn independently: units, at their first exposure, and never the requests of one unit.
Cost: 5 µs a phase; O(looks) in arrays.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from scipy.special import gammaln

from evenhand.events import Phase

KAPPA = 100.0
"""How close to the weights an alternative lies: its standard deviation is sqrt(p (1 - p) / 101), 5 points at a half."""
ALPHA = 0.001
LOG_ENOUGH = float(-np.log(ALPHA))


def log_e(counts: Any, weights: Any, kappa: float = KAPPA) -> Any:
    """Log E of counts, shape (..., arms), against weights of any scale, shape (arms,), all positive.

    >>> round(float(log_e([30, 70], [1, 1])), 2)
    3.7
    """
    n, p = np.asarray(counts, np.float64), np.asarray(weights, np.float64)
    p = p / p.sum()
    total = n.sum(axis=-1)
    return (
        gammaln(kappa) - gammaln(kappa + total)
        + (gammaln(kappa * p + n) - gammaln(kappa * p) - n * np.log(p)).sum(axis=-1)
    )  # fmt: skip


def of_phase(weights: Mapping[str, int], counts: Mapping[str, int]) -> float:
    """Log E of one phase. A count of an arm that has no weight is a mismatch by itself."""
    if any(count for name, count in counts.items() if not weights.get(name)):
        return np.inf
    arms = [name for name, weight in weights.items() if weight]
    if len(arms) < 2:
        return 0.0
    return float(log_e([counts.get(name, 0) for name in arms], [weights[name] for name in arms]))


def mismatch(phases: Iterable[Phase], log_enough: float = LOG_ENOUGH) -> str | None:
    """What is wrong with the arms' counts, over all phases; None if nothing is certified to be."""
    held = list(phases)
    for what, log_total in (
        ("requests that were served", sum(of_phase(phase.weights, phase.served) for phase in held)),
        ("outcomes that matured", sum(of_phase(phase.weights, phase.matured) for phase in held)),
    ):
        if log_total >= log_enough:
            return f"the {what} do not follow the weights: {_shown(held, what)} (odds {_odds(log_total)} to 1)"
    return None


def _shown(phases: list[Phase], what: str) -> str:
    parts = []
    for phase in phases:
        counts = phase.served if what.startswith("requests") else phase.matured
        total, weight = sum(counts.values()), sum(phase.weights.values())
        if total:
            parts.append(
                ", ".join(
                    f"{name} {counts.get(name, 0) / total:.2%} instead of {share / weight:.2%}"
                    for name, share in phase.weights.items()
                )
                + f" of {total}"
            )
    return "; ".join(parts)


def _odds(log_total: float) -> str:
    return "any" if log_total > 50 else f"{np.exp(log_total):.3g}"
