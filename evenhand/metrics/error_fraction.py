"""Failed answers."""

from typing import ClassVar, Self

from evenhand.metrics.sketch import Sketch


class ErrorFraction(Sketch, frozen=True, kw_only=True):
    """Requests that got no answer, a fraction of all."""

    kind: ClassVar[str] = "error_fraction"

    requests: int = 0
    errors: int = 0

    def add(self, requests: int, errors: int) -> Self:
        """With more requests, of which so many failed."""
        if not 0 <= errors <= requests:
            raise ValueError(f"{errors} errors of {requests} requests: give at most as many")
        return self.merge(type(self)(requests=requests, errors=errors))

    def values(self) -> dict[str, float]:
        return {"error_fraction": self.errors / self.requests} if self.requests else {}
