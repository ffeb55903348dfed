"""HDDM_A: Hoeffding's bound on averages."""

from typing import Annotated, Any, ClassVar

from msgspec import Meta
from river.drift import binary

from evenhand.drift.base import Takes
from evenhand.drift.river import RiverDetector


class HddmA(RiverDetector, frozen=True, kw_only=True):
    """The error rate before and after the best cut, by Hoeffding's bound (Frias-Blanco et al., TKDE 2015).

    `drift_confidence` is of one comparison, and there is one at each event.
    """

    kind: ClassVar[str] = "hddm_a"
    takes: ClassVar[Takes] = "errors"
    cause: ClassVar[str] = "error rate"

    drift_confidence: Annotated[float, Meta(gt=0, lt=1)] = 0.001
    warning_confidence: Annotated[float, Meta(gt=0, lt=1)] = 0.005
    two_sided_test: bool = False

    def build(self) -> Any:
        return binary.HDDMA(
            drift_confidence=self.drift_confidence, warning_confidence=self.warning_confidence,
            two_sided_test=self.two_sided_test,
        )  # fmt: skip
