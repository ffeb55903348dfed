"""HDDM_W: McDiarmid's bound on weighted averages."""

from typing import Annotated, Any, ClassVar

from msgspec import Meta
from river.drift import binary

from evenhand.drift.base import Takes
from evenhand.drift.river import RiverDetector


class HddmW(RiverDetector, frozen=True, kw_only=True):
    """As HDDM_A with exponentially weighted averages and McDiarmid's bound: sooner, and with more false alarms.

    `drift_confidence` is of one comparison, and there is one at each event.
    """

    kind: ClassVar[str] = "hddm_w"
    takes: ClassVar[Takes] = "errors"
    cause: ClassVar[str] = "error rate"

    drift_confidence: Annotated[float, Meta(gt=0, lt=1)] = 0.001
    warning_confidence: Annotated[float, Meta(gt=0, lt=1)] = 0.005
    lambda_val: Annotated[float, Meta(gt=0, lt=1)] = 0.05
    two_sided_test: bool = False

    def build(self) -> Any:
        return binary.HDDMW(
            drift_confidence=self.drift_confidence, warning_confidence=self.warning_confidence,
            lambda_val=self.lambda_val, two_sided_test=self.two_sided_test,
        )  # fmt: skip
