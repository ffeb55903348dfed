"""Response times."""

from typing import ClassVar

from evenhand.metrics.quantiles import Quantiles


class ResponseTime(Quantiles, frozen=True, kw_only=True):
    """Percentiles of response times, in milliseconds, each within 1 %."""

    kind: ClassVar[str] = "response_time"

    def values(self) -> dict[str, float]:
        return self.named("response_time", "ms")
