"""ADWIN: an adaptive window."""

from typing import Annotated, Any, ClassVar

from msgspec import Meta
from river import drift

from evenhand.drift.base import Takes
from evenhand.drift.river import RiverDetector


class Adwin(RiverDetector, frozen=True, kw_only=True):
    """The mean, over a window that is cut where its two parts differ (Bifet & Gavalda, SDM 2007).

    `delta` is the confidence of one cut, not a rate of false alarms. O(log n) state. It has no notion of spread or
    shape, and autocorrelation sets it off: feed it every k-th event (thinning.py).
    """

    kind: ClassVar[str] = "adwin"
    takes: ClassVar[Takes] = "numbers"
    cause: ClassVar[str] = "mean"

    delta: Annotated[float, Meta(gt=0, lt=1)] = 0.002
    clock: Annotated[int, Meta(ge=1)] = 32
    max_buckets: Annotated[int, Meta(ge=1)] = 5
    min_window_length: Annotated[int, Meta(ge=1)] = 5
    grace_period: Annotated[int, Meta(ge=0)] = 10

    def build(self) -> Any:
        return drift.ADWIN(
            delta=self.delta, clock=self.clock, max_buckets=self.max_buckets,
            min_window_length=self.min_window_length, grace_period=self.grace_period,
        )  # fmt: skip
