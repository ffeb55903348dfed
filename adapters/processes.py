"""Child processes that do not outlive their parent, with their logs, ports and health checks.

How they are made to end with their parent: `adapters.spawning`.
"""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from adapters import spawning
from adapters.errors import DependencyUnavailable

LOOPBACK = "127.0.0.1"
_POLL_S = 0.02


@dataclass
class Child:
    """A running child, the leader of its own process group."""

    name: str
    pid: int
    log: Path
    identity: str
    _process: "subprocess.Popen[bytes]" = field(repr=False)

    def alive(self) -> bool:
        """Whether the child still runs."""
        return self._process.poll() is None

    @property
    def returncode(self) -> int | None:
        """Exit status, or None while it runs; -9 after SIGKILL."""
        return self._process.poll()

    def wait(self, timeout_s: float | None = None) -> int:
        """Wait until it has ended and return its exit status."""
        code = self._process.wait(timeout_s)
        spawning.reaper.forget(self.pid)
        return code

    def kill(self) -> int:
        """End it at once, as if it had crashed: SIGKILL to its group. Returns its exit status."""
        return self.stop(grace_s=0.0, number=signal.SIGKILL)

    def stop(self, grace_s: float = 10.0, *, number: signal.Signals = signal.SIGTERM) -> int:
        """End it and its own children: SIGTERM, after `grace_s` SIGKILL. Returns its exit status."""
        _signal_group(self.pid, number)
        try:
            self._process.wait(grace_s)
        except subprocess.TimeoutExpired:
            _signal_group(self.pid, signal.SIGKILL)
        code = self._process.wait()
        _signal_group(self.pid, signal.SIGKILL)  # what it may have left in its group
        spawning.reaper.forget(self.pid)
        return code

    def log_tail(self, lines: int = 15) -> str:
        """The last lines that it wrote."""
        return tail(self.log, lines)


def start(
    name: str,
    argv: Sequence[str | Path],
    *,
    log: Path,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    detach: bool = False,
) -> Child:
    """Start a child with stdout and stderr appended to `log`; it dies with this process unless `detach`.

    `env` is the whole environment of the child; None passes on our own.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    command = [str(part) for part in argv]
    with log.open("ab") as out:
        try:
            process = spawning.spawner.spawn(command, out, env, cwd, detach=detach)
        except OSError as error:
            raise DependencyUnavailable(f"{name} does not start: {command[0]}: {error.strerror or error}") from error
    if not detach:
        spawning.reaper.watch(process.pid)
    return Child(name, process.pid, log, identity(process.pid) or "", process)


def free_port(host: str = LOOPBACK) -> int:
    """Return a TCP port that nobody listens on. Somebody else may take it before you do: start, check, and retry."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind((host, 0))
        port: int = probe.getsockname()[1]
        return port


def port_is_free(port: int, host: str = LOOPBACK) -> bool:
    """Whether a server could listen there now (a connection of the past that still lingers does not count)."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
        return True


def wait_healthy(child: Child, check: Callable[[], bool], *, deadline_s: float) -> None:
    """Return when `check` holds; stop the child and raise with the end of its log if it dies or takes too long.

    `check` may raise OSError for "not yet".
    """
    give_up = time.monotonic() + deadline_s
    while time.monotonic() < give_up:
        if not child.alive():
            raise DependencyUnavailable(
                f"{child.name} ended with status {child.returncode} while it started; its log {child.log} ends with:\n"
                f"{child.log_tail()}"
            )
        with contextlib.suppress(OSError):
            if check():
                return
        time.sleep(_POLL_S)
    child.stop(grace_s=1.0)
    raise DependencyUnavailable(
        f"{child.name} did not answer within {deadline_s:g} s; its log {child.log} ends with:\n{child.log_tail()}"
    )


def identity(pid: int) -> str | None:
    """What tells this process from a later one with the same pid: its start time. None if there is none."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        if sys.platform == "linux":
            return None
        shown = subprocess.run(
            ["/bin/ps", "-o", "lstart=", "-p", str(int(pid))], capture_output=True, text=True, check=False
        )
        return shown.stdout.strip() or None
    fields = stat[stat.rindex(")") + 2 :].split()
    return None if fields[0] in "ZX" else fields[19]


def running(pid: int, known: str | None = None) -> bool:
    """Whether the process runs and, if `known` is given, is still the one with that `identity`."""
    found = identity(pid)
    return found is not None and known in (None, "", found)


def stop_pid(pid: int, *, known: str | None = None, grace_s: float = 10.0) -> bool:
    """End a process that another one started, and its group: SIGTERM, then SIGKILL. False if it was gone before."""
    if not running(pid, known):
        return False
    _signal_group(pid, signal.SIGTERM)
    give_up = time.monotonic() + grace_s
    while running(pid, known) and time.monotonic() < give_up:
        time.sleep(_POLL_S)
    _signal_group(pid, signal.SIGKILL)
    give_up = time.monotonic() + grace_s
    while running(pid, known) and time.monotonic() < give_up:
        time.sleep(_POLL_S)
    return True


def tail(path: Path, lines: int = 15) -> str:
    """The last lines of a file, or a note that it is empty."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - 65_536))
            text = file.read().decode(errors="replace")
    except OSError:
        text = ""
    return "\n".join(text.splitlines()[-lines:]) or "(nothing)"


def _signal_group(pid: int, number: signal.Signals) -> None:
    """Signal a whole group if the process leads one, else only the process. Our own group is never signalled."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        try:
            group = os.getpgid(pid)
        except ProcessLookupError:
            group = pid  # the leader is gone, but what it left behind still has its number
        if group == pid and group != os.getpgrp():
            os.killpg(group, number)
        else:
            os.kill(pid, number)
