"""Coverage of intervals."""

from typing import ClassVar, Self

from evenhand.metrics.base import Array
from evenhand.metrics.sketch import Sketch


class Coverage(Sketch, frozen=True, kw_only=True):
    """Outcomes within their predicted interval, a fraction of all: 0.9 where 90 % intervals are honest."""

    kind: ClassVar[str] = "coverage"

    n: int = 0
    inside: int = 0

    def add(self, low: Array, high: Array, outcomes: Array) -> Self:
        """With more intervals and outcomes, all of shape (n,)."""
        return self.merge(type(self)(n=len(outcomes), inside=int(((low <= outcomes) & (outcomes <= high)).sum())))

    def values(self) -> dict[str, float]:
        return {"interval_coverage": self.inside / self.n} if self.n else {}
