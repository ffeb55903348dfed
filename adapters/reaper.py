"""The process that kills what a dead parent left behind. Run as `python reaper.py PARENT_PID`, told on stdin.

Lines are `+GROUP` (watch this process group) and `-GROUP` (forget it). When the pipe closes, or our parent is no
longer PARENT_PID, the groups that are still watched get SIGTERM, two seconds later SIGKILL, and we are done. A group
whose leader is a later process with the same number is left alone.
"""

import os
import select
import signal
import sys
import time
from pathlib import Path

_GRACE_S = 2.0
_LOOK_S = 0.5


def main() -> None:
    """Wait until the parent is gone, then kill."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # whoever ends the parent's group may not end us first
    kill(watched_until_gone(int(sys.argv[1])))


def watched_until_gone(parent: int) -> dict[int, str | None]:
    """Read until the parent is gone; the groups that it still watched."""
    groups: dict[int, str | None] = {}
    rest = b""
    while True:
        readable, _, _ = select.select([0], [], [], _LOOK_S)
        if readable:
            read = os.read(0, 65_536)
            if not read:
                return groups
            *lines, rest = (rest + read).split(b"\n")
            for line in lines:
                group = int(line[1:])
                if line[:1] == b"+":
                    groups[group] = started(group)
                else:
                    groups.pop(group, None)
        elif os.getppid() != parent:  # it is gone, and a fork of it still holds the pipe
            return groups


def started(pid: int) -> str | None:
    """When the process started, where the system says so. None too if there is no such process."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    return stat[stat.rindex(")") + 2 :].split()[19]


def kill(groups: dict[int, str | None]) -> None:
    """End every process of the groups."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        for group, known in list(groups.items()):
            if started(group) not in (None, known) or not signalled(group, number):
                del groups[group]
        if not groups:
            return
        time.sleep(_GRACE_S)


def signalled(group: int, number: signal.Signals) -> bool:
    """Signal the group. False if there is none any more, or it is not ours."""
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):
        return False
    return True


if __name__ == "__main__":
    main()
