"""Slow responses: those beyond a quantile of the champion's, which is frozen once its first requests are in.

Counts of buckets whose bounds differ by 2 % (those of DDSketch, `quantiles`), so that partitions need not know the
quantile: whoever merges them freezes it, and counts what comes afterwards.
"""

import math
from collections.abc import Mapping

from evenhand.metrics.quantiles import ACCURACY

NAME = "response_time_p95"
QUANTILE = 0.95
ENOUGH = 1000
"""Requests of the champion before the quantile is frozen: its standard error is 0.7 % of probability then."""
_GAMMA = math.log((1 + ACCURACY) / (1 - ACCURACY))
_LEAST_MS = 0.001


def bucket(response_time_ms: float) -> int:
    """The bucket of a response time; its upper bound is exp(bucket * 0.02) ms, or nearly so.

    >>> bucket(1.0), bucket(100.0)
    (0, 231)
    """
    return math.ceil(math.log(max(response_time_ms, _LEAST_MS)) / _GAMMA)


def milliseconds(of: int) -> float:
    """The upper bound of a bucket."""
    return math.exp(of * _GAMMA)


def threshold(counts: Mapping[int, int]) -> int | None:
    """The bucket of the quantile, once there are enough of the champion's requests."""
    total = sum(counts.values())
    if total < ENOUGH:
        return None
    passed = 0
    for of in sorted(counts):
        passed += counts[of]
        if passed >= QUANTILE * total:
            return of
    raise AssertionError("the last bucket holds the last rank")


def beyond(counts: Mapping[int, int], limit: int) -> tuple[int, int]:
    """How many lie above the bucket, of how many.

    >>> beyond({1: 10, 5: 2}, 3)
    (2, 12)
    """
    return sum(n for of, n in counts.items() if of > limit), sum(counts.values())
