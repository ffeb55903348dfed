"""Places where a test can kill, break or delay a worker.

`EVENHAND_FAILPOINT=name:nth:kill|raise|sleep[:seconds]` arms one; several are separated by commas. A name may be
narrowed to one reader with `name@reader`. Unarmed, a failpoint costs one look-up in an empty dict.
"""

import asyncio
import logging
import os
import signal
from collections.abc import Mapping

from evenhand.errors import EvenhandError, InvalidConfiguration

NAMES = frozenset(
    {
        "after_decode", "after_send", "after_ack", "after_state_write", "after_changelog_ack", "before_commit",
        "after_commit", "loading", "in_revoke",
    }
)  # fmt: skip
ACTIONS = frozenset({"kill", "raise", "sleep"})
VARIABLE = "EVENHAND_FAILPOINT"
log = logging.getLogger(__name__)


class FailpointReached(EvenhandError):
    """A failpoint with the action `raise` was reached."""


class Failpoint:
    """One armed failpoint: acts when it is passed for the nth time."""

    __slots__ = ("action", "name", "remaining", "seconds")

    def __init__(self, name: str, nth: int, action: str, seconds: float) -> None:
        self.name, self.remaining, self.action, self.seconds = name, nth, action, seconds

    async def reach(self) -> None:
        """Count down, and act at zero."""
        self.remaining -= 1
        if self.remaining != 0:
            return
        log.warning("failpoint %s: %s", self.name, self.action)
        if self.action == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        elif self.action == "raise":
            raise FailpointReached(f"failpoint {self.name}")
        else:
            await asyncio.sleep(self.seconds)


def parse(text: str) -> dict[str, Failpoint]:
    """Read the value of EVENHAND_FAILPOINT.

    >>> parse("after_ack@intake:3:sleep:0.5")["after_ack@intake"].seconds
    0.5
    """
    found: dict[str, Failpoint] = {}
    for part in filter(None, text.split(",")):
        fields = part.strip().split(":")
        name, _, _ = fields[0].partition("@")
        if name not in NAMES or len(fields) not in (3, 4) or fields[2] not in ACTIONS or not fields[1].isdigit():
            raise InvalidConfiguration(
                f"{VARIABLE}={part!r}: write name:nth:kill|raise|sleep[:seconds], with name one of "
                f"{', '.join(sorted(NAMES))}"
            )
        seconds = float(fields[3]) if len(fields) == 4 else 1.0
        found[fields[0]] = Failpoint(fields[0], int(fields[1]), fields[2], seconds)
    return found


armed: dict[str, Failpoint] = {}


def arm(environ: Mapping[str, str]) -> None:
    """Arm what the environment names; done once when the application is made."""
    armed.clear()
    armed.update(parse(environ.get(VARIABLE, "")))


async def reach(name: str, reader: str = "") -> None:
    """Pass a failpoint."""
    if not armed:
        return
    for key in (name, f"{name}@{reader}"):
        if key in armed:
            await armed[key].reach()
