"""Root mean squared error."""

from typing import ClassVar, Self

from evenhand.metrics.base import Array
from evenhand.metrics.sketch import Sketch


class Rmse(Sketch, frozen=True, kw_only=True):
    """Root mean squared error, in the unit of the target."""

    kind: ClassVar[str] = "rmse"

    n: int = 0
    squares: float = 0.0

    def add(self, values: Array, outcomes: Array) -> Self:
        """With more pairs, both of shape (n,)."""
        return self.merge(type(self)(n=len(values), squares=float(((values - outcomes) ** 2).sum())))

    def values(self) -> dict[str, float]:
        return {"rmse": (self.squares / self.n) ** 0.5} if self.n else {}
