"""A reading: what users and workers report from time to time."""

from typing import ClassVar, Self

from evenhand.metrics.base import Array
from evenhand.metrics.sketch import Sketch


class Gauge(Sketch, frozen=True, kw_only=True):
    """Mean and largest of the readings of one name, in its own unit."""

    kind: ClassVar[str] = "gauge"

    n: int = 0
    total: float = 0.0
    largest: float | None = None

    def add(self, readings: Array) -> Self:
        """With more readings, shape (n,)."""
        if len(readings) == 0:
            return self
        return self.merge(type(self)(n=len(readings), total=float(readings.sum()), largest=float(readings.max())))

    def merge(self, other: Self) -> Self:
        largest = max((one for one in (self.largest, other.largest) if one is not None), default=None)
        return type(self)(n=self.n + other.n, total=self.total + other.total, largest=largest)

    def values(self) -> dict[str, float]:
        return {} if self.largest is None else {"mean": self.total / self.n, "max": self.largest}
