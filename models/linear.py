"""Ridge regression, one weight vector a step (direct forecasts).

Minimises |y - b - Xw|^2 + alpha |w|^2 over standardised columns (Hoerl and Kennard 1970); the scaling is folded into
the weights afterwards, so that a forecast is one product and one sum.
"""

from collections.abc import Mapping
from typing import Annotated, ClassVar

import msgspec
import numpy as np
from msgspec import Meta

from models.base import FloatArray, Model


class RidgeParameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`alpha`: the penalty on standardised weights; as much as that many rows say."""

    alpha: Annotated[float, Meta(ge=0.0)] = 1000.0


class RidgeWeights(msgspec.Struct, frozen=True):
    """`weights[k]` and `intercepts[k]` belong to step k + 1, in units of the features themselves."""

    weights: list[list[float]]
    intercepts: list[float]


class Ridge(Model):
    """A linear model that distrusts its own weights."""

    kind: ClassVar[str] = "ridge"
    Parameters: ClassVar[type[msgspec.Struct]] = RidgeParameters

    def learn(self, rows: FloatArray, targets: FloatArray, seed: int) -> None:
        weights, intercepts = [], []
        for step in range(targets.shape[1]):
            known = np.isfinite(targets[:, step])
            x, y = rows[known], targets[known, step]
            mean, scale = x.mean(axis=0), x.std(axis=0)
            scale[scale == 0] = 1.0  # a column that never moves gets no weight
            z = (x - mean) / scale
            penalty = max(self.parameters.alpha, 1e-9) * np.eye(z.shape[1])
            w = np.linalg.solve(z.T @ z + penalty, z.T @ (y - y.mean())) / scale
            weights.append(w.tolist())
            intercepts.append(float(y.mean() - mean @ w))
        self._take(RidgeWeights(weights, intercepts))

    def _take(self, learned: RidgeWeights) -> None:
        self._learned = learned
        self._rows = [np.array(row) for row in learned.weights]

    def forecast(self, rows: FloatArray, horizon: int) -> FloatArray:
        values = np.empty((len(rows), horizon))
        for step in range(horizon):
            # Not `rows @ w`: BLAS sums a row in another order when the batch has another size.
            values[:, step] = (rows * self._rows[step]).sum(axis=1) + self._learned.intercepts[step]
        return values

    def weights(self) -> dict[str, bytes]:
        return {"ridge.json": msgspec.json.encode(self._learned)}

    def restore(self, files: Mapping[str, bytes]) -> None:
        self._take(msgspec.json.decode(files["ridge.json"], type=RidgeWeights))
