"""The process that kills what a dead parent left behind. Run as `python reaper.py PARENT_PID`, told on stdin.

Lines are `+GROUP` (watch this process group) and `-GROUP` (forget it). When the pipe closes, or our parent is no
longer PARENT_PID, the groups that are still watched get SIGTERM, two seconds later SIGKILL, and we are done.
"""

import os
import select
import signal
import sys
import time

_GRACE_S = 2.0
_LOOK_S = 0.5


def main() -> None:
    """Read until the parent is gone, then kill."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # whoever ends the parent's group may not end us first
    parent, groups, rest = int(sys.argv[1]), set[int](), b""
    while os.getppid() == parent:
        readable, _, _ = select.select([0], [], [], _LOOK_S)
        if not readable:
            continue
        read = os.read(0, 65_536)
        if not read:
            break
        *lines, rest = (rest + read).split(b"\n")
        for line in lines:
            (groups.add if line[:1] == b"+" else groups.discard)(int(line[1:]))
    for number in (signal.SIGTERM, signal.SIGKILL):
        for group in list(groups):
            try:
                os.killpg(group, number)
            except (ProcessLookupError, PermissionError):
                groups.discard(group)
        if not groups:
            return
        time.sleep(_GRACE_S)


if __name__ == "__main__":
    main()
