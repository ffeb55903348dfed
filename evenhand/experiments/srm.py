"""Whether the arms can be compared: sample ratio, attrition, crossings; looked at after every event.

Against multinomial weights p, with a Dirichlet(kappa p) prior over what else they might be, the Bayes factor

    E = Gamma(kappa) / Gamma(kappa + n) prod_k Gamma(kappa p_k + n_k) / Gamma(kappa p_k) / prod_k p_k^n_k

is a test martingale (Lindon & Malek, NeurIPS 2022): it exceeds 1 / alpha ever with probability alpha at most. Phases
multiply, so a ramp is no mismatch. What is counted must be drawn independently: units, at their first exposure, and
never the requests of one unit. Four counts are looked at:

- units that were served, against the weights;
- outcomes that matured, against the weights;
- outcomes that never came, once the wait for them is over, against what was waited for: differential attrition;
- units that several variants answered under one set of weights, of all units: a split has none, 1 % is certified.

Cost: 2 µs a phase and count.
"""

import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from scipy.special import gammaln

from evenhand.events import Phase
from evenhand.experiments.guardrail import log_e_above

KAPPA = 100.0
"""How close to the weights an alternative lies: its standard deviation is sqrt(p (1 - p) / 101), 5 points at a half."""
ALPHA = 0.001
LOG_ENOUGH = float(-np.log(ALPHA))
CROSSED = 0.01


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
    """Log E of one phase, by plain numbers. A count of an arm that has no weight is a mismatch by itself.

    >>> round(of_phase({"a": 1, "b": 1}, {"a": 30, "b": 70}), 2)
    3.7
    """
    total, log_total, arms = 0, 0.0, 0
    for name, count in counts.items():
        if count and not weights.get(name):
            return math.inf
        total += count
    if not total:
        return 0.0
    weight = sum(weights.values())
    for name, share in weights.items():
        if share:
            p, n = share / weight, counts.get(name, 0)
            log_total += math.lgamma(KAPPA * p + n) - math.lgamma(KAPPA * p) - n * math.log(p)
            arms += 1
    return math.lgamma(KAPPA) - math.lgamma(KAPPA + total) + log_total if arms > 1 else 0.0


def missing(phase: Phase) -> dict[str, int]:
    """Outcomes that were due under a control, and never came in time, by the variant that was served."""
    return {name: due - phase.returned.get(name, 0) for name, due in phase.due.items()}


def missing_fraction(phases: Iterable[Phase]) -> float:
    """Of all outcomes that were due, over all variants; 0.0 while none is."""
    due = returned = 0
    for phase in phases:
        if phase.due:
            due += sum(phase.due.values())
            returned += sum(phase.returned.values())
    return 1.0 - returned / due if returned < due else 0.0


def mismatch(phases: Iterable[Phase], log_enough: float = LOG_ENOUGH) -> str | None:
    """What is wrong with the arms, over all phases; None if nothing is certified to be."""
    held = list(phases)
    if _is_kept(held, log_enough):
        return None
    if sum(of_phase(phase.weights, phase.served) for phase in held) >= log_enough:
        return _said("requests that were served do not follow the weights", held, "weights", "served")
    if sum(of_phase(phase.weights, phase.matured) for phase in held) >= log_enough:
        return _said("outcomes that matured do not follow the weights", held, "weights", "matured")
    if sum(of_phase(phase.due, missing(phase)) for phase in held if phase.due) >= log_enough:
        return _said("outcomes that never came differ by the variant that was served", held, "due", "")
    crossed = sum(phase.crossed for phase in held)
    if not crossed:
        return None
    units = sum(sum(phase.served.values()) for phase in held)
    if log_e_above(crossed, max(units, crossed), CROSSED) >= log_enough:
        return f"{crossed} of {units} units were answered by several variants under one control: the split is not kept"
    return None


def _is_kept(phases: list[Phase], log_enough: float) -> bool:
    """Whether nobody crossed, and chi squared already says that two arms are no mismatch, at a quarter of the cost.

    E is a mean of likelihood ratios, so log E is at most n KL(counts / n, weights), which is at most chi squared: the
    sum of (n_k - n p_k)^2 / (n p_k). What is missing lies as far from its share as what came, and there is less of it.
    """
    of_served = of_matured = of_missing = 0.0
    for phase in phases:
        weights, served, matured, due, returned = phase.weights, phase.served, phase.matured, phase.due, phase.returned
        if phase.crossed or not len(weights) == len(served) == len(matured) == 2 >= len(due):
            return False
        try:
            (a, w_a), (b, w_b) = weights.items()
            n_a, n_b = served[a], served[b]
            apart = n_a * w_b - n_b * w_a
            of_served += apart * apart / (w_a * w_b * (n_a + n_b))
            n_a, n_b = matured[a], matured[b]
            apart = n_a * w_b - n_b * w_a
            of_matured += apart * apart / (w_a * w_b * (n_a + n_b))
            if due != returned:
                w_a, w_b, n_a, n_b = due[a], due[b], returned[a], returned[b]
                apart = n_a * w_b - n_b * w_a
                of_missing += apart * apart / (w_a * w_b * (w_a + w_b - n_a - n_b))
        except (KeyError, ZeroDivisionError):  # an arm without weight, or without anything
            return False
    return of_served < log_enough and of_matured < log_enough and of_missing < log_enough


def _said(what: str, phases: list[Phase], expected: str, counted: str) -> str:
    log_total, parts = 0.0, []
    for phase in phases:
        shares: Mapping[str, int] = getattr(phase, expected)
        counts: Mapping[str, int] = getattr(phase, counted) if counted else missing(phase)
        total, weight = sum(counts.values()), sum(shares.values())
        log_total += of_phase(shares, counts)
        if total:
            shown = [
                f"{name} {counts.get(name, 0) / total:.2%} instead of {share / weight:.2%}"
                for name, share in shares.items()
            ]
            parts.append(f"{', '.join(shown)} of {total}")
    return f"the {what}: {'; '.join(parts)} (odds {_odds(log_total)} to 1)"


def _odds(log_total: float) -> str:
    return "any" if log_total > 50 else f"{math.exp(log_total):.3g}"
