"""Accuracy of the direction."""

from typing import ClassVar, Self

import numpy as np

from evenhand.metrics.base import Array
from evenhand.metrics.sketch import Sketch


class Accuracy(Sketch, frozen=True, kw_only=True):
    """Outcomes whose sign was predicted, a fraction of all; half a point where either is zero."""

    kind: ClassVar[str] = "accuracy"

    n: int = 0
    points: float = 0.0

    def add(self, values: Array, outcomes: Array) -> Self:
        """With more pairs, both of shape (n,)."""
        points = 0.5 + 0.5 * np.sign(values) * np.sign(outcomes)
        return self.merge(type(self)(n=len(points), points=float(points.sum())))

    def values(self) -> dict[str, float]:
        return {"accuracy": self.points / self.n} if self.n else {}
