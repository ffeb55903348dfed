"""DDM: the drift detection method."""

from typing import Annotated, Any, ClassVar

from msgspec import Meta
from river.drift import binary

from evenhand.drift.base import Takes
from evenhand.drift.river import RiverDetector


class Ddm(RiverDetector, frozen=True, kw_only=True):
    """The error rate p with s = sqrt(p (1 - p)/n): alarm when p + s > p_min + `drift_threshold` s_min.

    Gama et al., "Learning with drift detection", 2004.
    """

    kind: ClassVar[str] = "ddm"
    takes: ClassVar[Takes] = "errors"
    cause: ClassVar[str] = "error rate"

    warm_start: Annotated[int, Meta(ge=1)] = 30
    warning_threshold: Annotated[float, Meta(gt=0)] = 2.0
    drift_threshold: Annotated[float, Meta(gt=0)] = 3.0

    def build(self) -> Any:
        return binary.DDM(
            warm_start=self.warm_start, warning_threshold=self.warning_threshold, drift_threshold=self.drift_threshold
        )
