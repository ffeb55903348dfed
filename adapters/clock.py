"""The wall clock: the only place that reads it. Everything else takes time as an argument."""

import asyncio
import time
from collections.abc import AsyncIterator

SECOND_MS = 1000


def now_ms() -> int:
    """Milliseconds since 1970, UTC."""
    return time.time_ns() // 1_000_000


async def each_second() -> AsyncIterator[int]:
    """Every whole second that the wall clock reaches, in milliseconds; those that were slept through are left out."""
    while True:
        now = now_ms()
        await asyncio.sleep((SECOND_MS - now % SECOND_MS) / 1000)
        reached = now_ms() // SECOND_MS * SECOND_MS
        if reached > now or reached < now - SECOND_MS:  # a sleep may end early; a clock may be set back
            yield reached
