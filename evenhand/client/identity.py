"""What an event of one's own needs besides its content: an id, a time, and who sent it."""

import getpass
import os
import platform
import time
import uuid


def new_id() -> str:
    """An id that nothing else has. Keep it for every attempt to send the same event: repeats count once."""
    return uuid.uuid4().hex


def now_ms() -> int:
    """The time of something that happens now, as events carry it."""
    return time.time_ns() // 1_000_000


def who() -> str:
    """The person or program that gives a command: EVENHAND_USER, else user and machine."""
    named = os.environ.get("EVENHAND_USER")
    if named:
        return named
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container's user without a name
        user = str(os.getuid())
    return f"{user}@{platform.node() or 'localhost'}"
