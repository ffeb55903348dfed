"""Mean response time."""

from typing import ClassVar

from evenhand.metrics.measure import Measure


class MeanResponseTime(Measure, frozen=True):
    """Milliseconds. A few slow requests move it: it is what all requests together have waited."""

    name: ClassVar[str] = "response_time"

    def of(self, response_time_ms: float) -> float:
        return response_time_ms
