"""The wall clock: the only place that reads it. Everything else takes time as an argument."""

import time


def now_ms() -> int:
    """Milliseconds since 1970, UTC."""
    return time.time_ns() // 1_000_000
