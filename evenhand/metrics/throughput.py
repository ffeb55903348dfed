"""Throughput."""

from typing import ClassVar, Self

from evenhand.metrics.sketch import Sketch


class Throughput(Sketch, frozen=True, kw_only=True):
    """Requests a second, over the event time that was watched."""

    kind: ClassVar[str] = "throughput"

    requests: int = 0
    watched_ms: int = 0

    def add(self, requests: int, watched_ms: int) -> Self:
        """With more requests in more time. Of partitions, one alone states the time of an epoch."""
        return self.merge(type(self)(requests=requests, watched_ms=watched_ms))

    def values(self) -> dict[str, float]:
        return {"throughput_per_s": 1000 * self.requests / self.watched_ms} if self.watched_ms else {}
