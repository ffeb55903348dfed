"""Missing labels."""

from typing import ClassVar, Self

from evenhand.metrics.sketch import Sketch


class MissingLabels(Sketch, frozen=True, kw_only=True):
    """Predictions whose outcome did not come within the wait, a fraction of those due."""

    kind: ClassVar[str] = "missing_labels"

    due: int = 0
    missing: int = 0

    def add(self, due: int, missing: int) -> Self:
        """With more predictions whose wait is over, of which so many have no outcome."""
        if not 0 <= missing <= due:
            raise ValueError(f"{missing} missing of {due}: give at most as many")
        return self.merge(type(self)(due=due, missing=missing))

    def values(self) -> dict[str, float]:
        return {"missing_label_fraction": self.missing / self.due} if self.due else {}
