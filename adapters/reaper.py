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
    """Wait until the parent is gone, then kill."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # whoever ends the parent's group may not end us first
    kill(watched_until_gone(int(sys.argv[1])))


def watched_until_gone(parent: int) -> set[int]:
    """Read until the parent is gone; the groups that it still watched."""
    groups, rest = set[int](), b""
    while True:
        readable, _, _ = select.select([0], [], [], _LOOK_S)
        if readable:
            read = os.read(0, 65_536)
            if not read:
                return groups
            *lines, rest = (rest + read).split(b"\n")
            for line in lines:
                (groups.add if line[:1] == b"+" else groups.discard)(int(line[1:]))
        elif os.getppid() != parent:  # it is gone, and a fork of it still holds the pipe
            return groups


def kill(groups: set[int]) -> None:
    """End every process of the groups."""
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
