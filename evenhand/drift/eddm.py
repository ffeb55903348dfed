"""EDDM: the early drift detection method."""

from typing import Annotated, Any, ClassVar

from msgspec import Meta
from river.drift import binary

from evenhand.drift.base import Takes
from evenhand.drift.river import RiverDetector


class Eddm(RiverDetector, frozen=True, kw_only=True):
    """The distance between errors: alarm when its mean + 2 sd falls to `beta` of its maximum.

    Baena-Garcia et al., "Early drift detection method", 2006. It fires often without any drift.
    """

    kind: ClassVar[str] = "eddm"
    takes: ClassVar[Takes] = "errors"
    cause: ClassVar[str] = "error rate"

    warm_start: Annotated[int, Meta(ge=1)] = 30
    alpha: Annotated[float, Meta(gt=0, lt=1)] = 0.95
    beta: Annotated[float, Meta(gt=0, lt=1)] = 0.9

    def build(self) -> Any:
        return binary.EDDM(warm_start=self.warm_start, alpha=self.alpha, beta=self.beta)
