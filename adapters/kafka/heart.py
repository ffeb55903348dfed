"""Finds out that the process was frozen, before it writes anything for partitions that are no longer its own."""

import asyncio
import time

from adapters.kafka.ending import FROZEN, end_process

BEAT_S = 0.1


def now_s() -> float:
    """Seconds on a clock that goes on while the machine sleeps, where the system has one."""
    return time.clock_gettime(_CLOCK)


_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


class Heart:
    """Beats on the consumer thread's loop, which also sends the group's heartbeats.

    As long as that loop runs, the group knows that this worker lives, however busy the main loop is. If it stood
    still for half a session timeout, the group may have given the partitions away. `check` comes before every write;
    the beat itself checks too, because after a thaw it may run before any write does.
    """

    def __init__(self, limit_s: float) -> None:
        self.limit_s = limit_s
        self.last_s = now_s()

    def check(self) -> None:
        """End the process if it stood still for too long."""
        still_s = now_s() - self.last_s
        if still_s > self.limit_s:
            end_process(FROZEN, f"stood still for {still_s:.1f} s, so the partitions may be another worker's")

    async def beat(self) -> None:
        """Beat for ever."""
        self.last_s = now_s()
        while True:
            self.check()
            self.last_s = now_s()
            await asyncio.sleep(BEAT_S)
