"""A thread that sends what the spool holds; the first of all processes that has the lock sends for all of them."""

import contextlib
import fcntl
import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence

from adapters.mlflow.spool import Entry, Sink, Spool

LOGGER = logging.getLogger("evenhand.tracking")
BATCH = 500
EVERY_S, LONGEST_S = 1.0, 15.0
Deliver = Callable[[Sequence[Entry]], None]


class Sender(threading.Thread):
    """Sends to one sink until it is told to stop. `deliver` notes in the spool what has arrived, or raises."""

    def __init__(self, spool: Spool, sink: Sink, deliver: Deliver) -> None:
        super().__init__(name=f"evenhand tracking: {sink}", daemon=True)
        self._spool, self.sink, self._deliver = spool, sink, deliver
        self._wake, self._stopped = threading.Event(), threading.Event()
        self.trouble = ""
        """Why the last attempt failed; empty after one that did not."""

    def wake(self) -> None:
        """Say that there is something to send."""
        self._wake.set()

    def stop(self) -> None:
        """Say that it shall end when its attempt ends."""
        self._stopped.set()
        self._wake.set()

    def drain(self, timeout_s: float) -> bool:
        """Wait until everything has arrived; False if that takes longer."""
        give_up = time.monotonic() + timeout_s
        while self._spool.waiting(self.sink):
            if time.monotonic() > give_up or not self.is_alive():
                return False
            self._wake.set()
            time.sleep(0.05)
        return True

    def run(self) -> None:
        """Send, wait, send; wait longer each time that nobody answers."""
        wait_s = 0.0
        while not self._stopped.wait(wait_s):
            try:
                wait_s = 0.0 if self._send() else self._rest()
                self.trouble = ""
            except Exception as error:  # noqa: BLE001 - whatever MLflow's client raises, the next attempt comes
                wait_s = min(LONGEST_S, 2 * wait_s or EVERY_S / 2)
                if not self.trouble:
                    LOGGER.warning("%s takes nothing now, what is logged waits in %s: %r",
                                   self.sink, self._spool.path, error)  # fmt: skip
                self.trouble = repr(error)

    def _send(self) -> bool:
        with self._alone() as alone:
            entries = self._spool.unsent(self.sink, BATCH) if alone else []
            if entries:
                self._deliver(entries)
            return bool(entries)

    def _rest(self) -> float:
        self._wake.wait(EVERY_S)
        self._wake.clear()
        return 0.0

    @contextlib.contextmanager
    def _alone(self) -> Iterator[bool]:
        """Whether no other process sends: two senders could take the same entry."""
        with self._spool.path.with_suffix(f".{self.sink}.lock").open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                yield False
            else:
                yield True
