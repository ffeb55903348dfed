"""A child process that is started again when it dies."""

import logging
import time
from collections.abc import Callable

from adapters import processes
from adapters.clock import now_ms
from adapters.run_state import Kept
from evenhand.errors import EvenhandError

SHORT_LIFE_S = 30.0
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.5, 30.0
log = logging.getLogger(__name__)


class Service:
    """Its first restart comes after half a second; each time that it dies soon again, the pause is twice as long."""

    def __init__(self, name: str, start: Callable[[], processes.Child], child: processes.Child | None = None) -> None:
        """Keep what `start` starts; `child` is what runs already."""
        self.name, self._start, self.child = name, start, child
        self.restarts = self.early_ends = 0
        self.last_exit: int | None = None
        self._began_s = time.monotonic()
        self._due_s = 0.0

    def start(self) -> None:
        """Start it now."""
        self.child, self._began_s = self._start(), time.monotonic()

    def look(self) -> bool:
        """See whether it died, and start it again when it is time; whether anything changed."""
        now = time.monotonic()
        if self.child is not None:
            if self.child.alive():
                return False
            self.last_exit = self.child.wait()
            self.early_ends = self.early_ends + 1 if now - self._began_s < SHORT_LIFE_S else 0
            self.child = None
            self._wait(now)
            log.warning("%s ended with status %s; it is started again", self.name, self.last_exit)
            return True
        if now < self._due_s:
            return False
        try:
            self.start()
        except EvenhandError as error:
            self.early_ends += 1
            self._wait(now)
            log.warning("%s does not start: %s", self.name, error)
            return False
        self.restarts += 1
        return True

    def stop(self, grace_s: float) -> None:
        """End it, for good until `start`."""
        if self.child is not None:
            self.child.stop(grace_s)
            self.child = None

    def kept(self) -> Kept | None:
        """What the state file says of it; None while it does not run."""
        child = self.child
        if child is None:
            return None
        started_at = now_ms() - int((time.monotonic() - self._began_s) * 1000)
        return Kept(self.name, child.pid, child.identity, str(child.log), self.restarts, started_at, self.last_exit)

    def log_tail(self) -> str:
        """The last lines that it wrote."""
        return self.child.log_tail() if self.child is not None else ""

    def _wait(self, now: float) -> None:
        self._due_s = now + min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2.0 ** max(0, self.early_ends - 1))
