"""Response time on a logarithmic scale."""

import math
from typing import ClassVar

from evenhand.metrics.measure import Measure

LEAST_MS = 0.001


class LogResponseTime(Measure, frozen=True):
    """Logarithm of milliseconds, at least of a microsecond: the ratio is that of geometric means.

    Where a mean is ruled by its tail, this one is ruled by what most requests wait.

    >>> round(LogResponseTime().of(100.0), 4)
    4.6052
    """

    name: ClassVar[str] = "response_time_log"
    is_logarithm: ClassVar[bool] = True

    def of(self, response_time_ms: float) -> float:
        return math.log(max(response_time_ms, LEAST_MS))
