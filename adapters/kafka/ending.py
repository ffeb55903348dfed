"""How a worker ends itself when going on could lose or double something.

Each cause has an exit code, so that a supervisor and a test can tell them apart. The process ends at once: a clean
shutdown would still commit and write. What was not committed is redone by the partition's next owner.
"""

import logging
import os
import sys
from typing import NoReturn

FAILED = 70  # a batch, a send or the state failed
FROZEN = 71  # the process stood still, its partitions are another's
NOT_CONSUMING = 72  # alive, but nothing moves
STOP_OVERDUE = 73  # asked to stop, and did not in time

log = logging.getLogger(__name__)


def end_process(code: int, reason: str, cause: BaseException | None = None) -> NoReturn:
    """Say why, then end the process without running anything else."""
    log.critical("ending with exit code %d: %s", code, reason, exc_info=cause)
    for handler in logging.getLogger().handlers:
        handler.flush()
    for stream in (sys.stdout, sys.stderr):
        if stream is not None and not stream.closed:
            stream.flush()
    os._exit(code)
