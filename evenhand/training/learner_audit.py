"""Audits whoever learns: shuffled labels cannot be forecast, and a forecast is of its row alone."""

from collections.abc import Mapping

import numpy as np

from evenhand.training.examples import FloatArray, Learner
from evenhand.training.leakage import AuditSettings, Leak, Pipeline, audit_learner

_ROWS = 1500  # the last ones: enough to see a leak, and quick


def audit_learners(
    learners: Mapping[str, Learner], rows: FloatArray, targets: FloatArray, seed: int, settings: AuditSettings
) -> list[Leak]:
    """Return the learners that leak, by name. `rows` and `targets` (n, steps) in order of time; the last are tried.

    Who forecasts labels that were shuffled leaks, and who forecasts a row otherwise beside other rows of the test.
    """
    known = np.flatnonzero(np.isfinite(targets).all(axis=1))[-_ROWS:]
    rows, targets = rows[known], targets[known]
    leaks: list[Leak] = []
    for name, learner in learners.items():
        cut = int(len(rows) * 0.6)
        forecast = learner(rows[:cut], targets[:cut], seed)
        whole, part = forecast(rows[cut:]), forecast(rows[cut : cut + (len(rows) - cut) // 2])
        if not np.allclose(whole[: len(part)], part, rtol=1e-9, atol=0.0):
            leaks.append(Leak("fold_fit", name, "its forecast of a row is another beside other rows of the test"))
            continue
        random = np.random.default_rng(seed)
        found = audit_learner(Pipeline((), learner=learner), rows, targets, random, settings)
        leaks += [Leak(one.test, name, one.evidence) for one in found]
    return leaks
