"""Label delay."""

from typing import ClassVar

from evenhand.metrics.quantiles import Quantiles


class LabelDelay(Quantiles, frozen=True, kw_only=True):
    """Percentiles of the time from a prediction to its outcome, in seconds, each within 1 %."""

    kind: ClassVar[str] = "label_delay"

    def values(self) -> dict[str, float]:
        return self.named("label_delay", "s")
