"""How much a model leans on each feature: what its fit loses when that column is shuffled (Breiman 2001).

For every kind of model alike. It says what the model uses, not what is true.
"""

import numpy as np

from models.base import FloatArray, Model

ROWS = 1000


def permutation_importance(model: Model, rows: FloatArray, targets: FloatArray, seed: int = 0) -> dict[str, float]:
    """Return by feature how much greater the squared error of step 1 gets, as a fraction, on the last rows."""
    known = np.flatnonzero(np.isfinite(targets[:, 0]))[-ROWS:]
    rows, truth = np.ascontiguousarray(rows[known]), targets[known, 0]
    random = np.random.default_rng(seed)
    whole = float(((model.forecast(rows, 1)[:, 0] - truth) ** 2).mean()) or 1.0
    found = {}
    for place, name in enumerate(model.signature.features):
        mixed = rows.copy()
        mixed[:, place] = random.permutation(mixed[:, place])
        found[name] = float(((model.forecast(mixed, 1)[:, 0] - truth) ** 2).mean()) / whole - 1
    return found
