"""EWMA: the exponentially weighted mean of past targets, the last ones counting most. A baseline (Brown 1959)."""

from collections.abc import Mapping
from typing import Annotated, ClassVar

import msgspec
import numpy as np
from msgspec import Meta

from evenhand.errors import InvalidConfiguration
from models.base import FloatArray, Model
from models.convert import nearest


class EwmaParameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`column`: a feature that holds the mean up to the row, such as ewm_return_24.

    Without it, the mean over the training, weight 2 / (span + 1), is what every row is answered.
    """

    column: str | None = None
    span: Annotated[int, Meta(ge=2)] = 168


class Ewma(Model):
    """Answers the weighted mean at every step."""

    kind: ClassVar[str] = "ewma"
    Parameters: ClassVar[type[msgspec.Struct]] = EwmaParameters

    def learn(self, rows: FloatArray, targets: FloatArray, seed: int) -> None:
        column = self.parameters.column
        if column is not None and column not in self.features:
            raise InvalidConfiguration(f"column of {self.kind}: no feature {column!r}{nearest(column, self.features)}")
        self._means = [self._mean(step[np.isfinite(step)]) for step in targets.T]

    def _mean(self, target: FloatArray) -> float:
        weights = (1.0 - 2.0 / (self.parameters.span + 1.0)) ** np.arange(len(target))[::-1]
        return float((weights * target).sum() / weights.sum())

    def forecast(self, rows: FloatArray, horizon: int) -> FloatArray:
        if self.parameters.column is None:
            return np.tile(np.array(self._means[:horizon]), (len(rows), 1))
        return np.repeat(rows[:, [self.features.index(self.parameters.column)]], horizon, axis=1)

    def weights(self) -> dict[str, bytes]:
        return {"ewma.json": msgspec.json.encode(self._means)}

    def restore(self, files: Mapping[str, bytes]) -> None:
        self._means = msgspec.json.decode(files["ewma.json"], type=list[float])
