"""Quantiles within 1 %, of any number of events and after any number of merges."""

import math
from collections.abc import Iterable
from typing import Self

import msgspec
import numpy as np

from evenhand.metrics.base import Array
from evenhand.metrics.sketch import Sketch

ACCURACY = 0.01
_GAMMA = math.log((1 + ACCURACY) / (1 - ACCURACY))
_LEAST = 1e-6


class Quantiles(Sketch, frozen=True, kw_only=True):
    """DDSketch (Masson, Rim & Lee, VLDB 2019): counts of values in buckets whose bounds differ by 2 %.

    Bucket i has (g^(i-1), g^i], g = 1.01/0.99; a quantile is reported as 2 g^i/(g + 1), at most 1 % off. Values are
    zero or more; below 1e-6 they count as zero. Merging adds counts. From 1 ms to an hour there are 760 buckets.

    >>> from evenhand.metrics.response_time import ResponseTime
    >>> round(ResponseTime().add(np.arange(1.0, 101.0)).quantile(0.5))
    50
    """

    zeros: int = 0
    counts: dict[int, int] = {}  # noqa: RUF012 - msgspec copies it

    def add(self, values: Array) -> Self:
        """With more values, shape (n,); about 0.1 us each in batches."""
        values = np.asarray(values, np.float64)
        if not np.isfinite(values).all() or (values < 0).any():
            raise ValueError("a duration is finite and not negative")
        large = values[values > _LEAST]
        buckets, times = np.unique(np.ceil(np.log(large) / _GAMMA).astype(np.int64), return_counts=True)
        fresh = dict(zip(buckets.tolist(), times.tolist(), strict=True))
        return self.merge(type(self)(zeros=len(values) - len(large), counts=fresh))

    def merge(self, other: Self) -> Self:
        keys = sorted({*self.counts, *other.counts})
        counts = {key: self.counts.get(key, 0) + other.counts.get(key, 0) for key in keys}
        return msgspec.structs.replace(self, zeros=self.zeros + other.zeros, counts=counts)

    @property
    def n(self) -> int:
        """How many values."""
        return self.zeros + sum(self.counts.values())

    def quantile(self, q: float) -> float:
        """The value below which a share q lies; NaN where there is none."""
        if self.n == 0:
            return math.nan
        rank, passed = q * (self.n - 1), self.zeros
        if rank < passed:
            return 0.0
        for bucket in sorted(self.counts):
            passed += self.counts[bucket]
            if rank < passed:
                return 2 * math.exp(bucket * _GAMMA) / (math.exp(_GAMMA) + 1)
        raise AssertionError("the last bucket holds the last rank")

    def above(self, bound: float) -> int:
        """How many values lie in buckets whose representative is above a bound."""
        return sum(
            count for bucket, count in self.counts.items()
            if 2 * math.exp(bucket * _GAMMA) / (math.exp(_GAMMA) + 1) > bound
        )  # fmt: skip

    def named(self, prefix: str, unit: str, shares: Iterable[int] = (50, 95, 99)) -> dict[str, float]:
        """Percentiles under the names of a report."""
        return {f"{prefix}_p{share}_{unit}": self.quantile(share / 100) for share in shares} if self.n else {}
