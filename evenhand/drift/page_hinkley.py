"""Page-Hinkley: a cumulative sum of deviations from the mean so far."""

from typing import Annotated, Any, ClassVar, Literal

from msgspec import Meta
from river import drift

from evenhand.drift.base import Takes
from evenhand.drift.river import RiverDetector


class PageHinkley(RiverDetector, frozen=True, kw_only=True):
    """The mean: alarms when the sum of x - mean -/+ delta leaves its extreme by `threshold` (Page 1954, Hinkley 1971).

    `delta` and `threshold` are in the unit of the values: scale them.
    """

    kind: ClassVar[str] = "page_hinkley"
    takes: ClassVar[Takes] = "numbers"
    cause: ClassVar[str] = "mean"

    min_instances: Annotated[int, Meta(ge=1)] = 30
    delta: Annotated[float, Meta(ge=0)] = 0.005
    threshold: Annotated[float, Meta(gt=0)] = 50.0
    alpha: Annotated[float, Meta(gt=0, le=1)] = 0.9999
    mode: Literal["up", "down", "both"] = "both"

    def build(self) -> Any:
        return drift.PageHinkley(
            min_instances=self.min_instances, delta=self.delta, threshold=self.threshold, alpha=self.alpha,
            mode=self.mode,
        )  # fmt: skip

    def measure(self, core: Any) -> tuple[float, float]:
        up, down = vars(core)["_sum_increase"], vars(core)["_sum_decrease"]
        if core._x_mean.n == 0:  # noqa: SLF001 - river shows it nowhere else
            return 0.0, self.threshold
        sides = {"up": up - vars(core)["_min_increase"], "down": vars(core)["_max_decrease"] - down}
        return float(max(sides.values()) if self.mode == "both" else sides[self.mode]), self.threshold
