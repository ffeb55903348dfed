"""Event time: watermarks, epochs, and what is late (design: ticks stand in band, among the events).

The watermark of a partition is the least, over all its source partitions, of the greatest
tick so far. Neither the interleaving of topics nor the number of workers can move it.
"""

from collections.abc import Iterable

from evenhand.envelope import NEVER


class Watermark:
    """How far event time has come in one partition.

    >>> watermark = Watermark(["a", "b"])
    >>> watermark.advance("a", 5), watermark.advance("b", 3), watermark.value
    (False, True, 3)
    >>> watermark.advance("b", 2), watermark.advance("stranger", 9)
    (False, False)
    """

    __slots__ = ("ticks", "value")

    def __init__(self, sources: Iterable[str], ticks: dict[str, int] | None = None) -> None:
        self.ticks: dict[str, int] = dict.fromkeys(sources, NEVER)
        for source, time in (ticks or {}).items():
            if source in self.ticks:
                self.ticks[source] = time
        self.value = min(self.ticks.values())

    def advance(self, source: str, time_ms: int) -> bool:
        """Take a tick; whether the watermark moved. Ticks of a source that is not listed count for nothing."""
        before = self.ticks.get(source)
        if before is None or time_ms <= before:
            return False
        self.ticks[source] = time_ms
        if before > self.value:
            return False
        value = min(self.ticks.values())
        moved = value > self.value
        self.value = value
        return moved


def delay_ms(seen_at: int, time_ms: int) -> int:
    """How far an event stood behind the ticks of its own partition; 0 where it stood before them.

    >>> delay_ms(seen_at=70_000, time_ms=10_000), delay_ms(seen_at=NEVER, time_ms=10_000)
    (60000, 0)
    """
    return max(0, seen_at - time_ms)


def first_epoch_after(time_ms: int, epoch_s: int) -> int:
    """The first epoch that begins at or after a time.

    >>> first_epoch_after(60_000, 60), first_epoch_after(60_001, 60)
    (1, 2)
    """
    return -(-time_ms // (epoch_s * 1000))


def last_closed_epoch(watermark: int, epoch_s: int, grace_s: int) -> int:
    """The last epoch whose end plus grace the watermark has passed.

    >>> last_closed_epoch(watermark=180_000, epoch_s=60, grace_s=60)
    1
    """
    return (watermark - grace_s * 1000) // (epoch_s * 1000) - 1
