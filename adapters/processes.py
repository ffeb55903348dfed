"""Child processes that do not outlive their parent, with their logs, ports and health checks.

Two mechanisms end a child whose parent died, however the parent died:

- Linux sends the child SIGKILL (`PR_SET_PDEATHSIG`). The signal follows the *thread* that made the child, so
  all children are made by one thread that lives as long as the process.
- Everywhere, a small process (`adapters/reaper.py`) holds a pipe from the parent and kills the process groups
  that it was told of when the pipe closes. It also gets the children's own children.
"""

import contextlib
import ctypes
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from adapters.errors import DependencyUnavailable

LOOPBACK = "127.0.0.1"
_PR_SET_PDEATHSIG = 1
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
        _reaper.forget(self.pid)
        return code

    def stop(self, grace_s: float = 10.0) -> int:
        """End it and its own children: SIGTERM, after `grace_s` SIGKILL. Returns its exit status."""
        _signal_group(self.pid, signal.SIGTERM)
        try:
            self._process.wait(grace_s)
        except subprocess.TimeoutExpired:
            _signal_group(self.pid, signal.SIGKILL)
        code = self._process.wait()
        _signal_group(self.pid, signal.SIGKILL)  # what it may have left in its group
        _reaper.forget(self.pid)
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
            process = _spawner.spawn(command, out, env, cwd, detach=detach)
        except OSError as error:
            raise DependencyUnavailable(f"{name} does not start: {command[0]}: {error.strerror or error}") from error
    if not detach:
        _reaper.watch(process.pid)
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
        shown = subprocess.run(  # noqa: S603 - fixed command, integer argument
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


class _Spawner:
    """Makes all children in one thread that never ends."""

    def __init__(self) -> None:
        self._work: queue.SimpleQueue[tuple[Callable[[], subprocess.Popen[bytes]], Future[subprocess.Popen[bytes]]]]
        self._lock = threading.Lock()
        self._owner = 0
        self._prctl = _find_prctl()
        self._detached: list[subprocess.Popen[bytes]] = []  # dropped while it runs, it would be complained of

    def spawn(
        self, argv: list[str], out: IO[bytes], env: Mapping[str, str] | None, cwd: Path | None, *, detach: bool
    ) -> "subprocess.Popen[bytes]":
        parent = os.getpid()

        def before_exec() -> None:
            if self._prctl is not None:
                self._prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
                if os.getppid() != parent:  # it died between fork and here
                    os._exit(1)

        def make() -> "subprocess.Popen[bytes]":
            return subprocess.Popen(  # noqa: S603 - callers pass argument lists of their own making
                argv,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                env=None if env is None else dict(env),
                cwd=cwd,
                start_new_session=True,
                preexec_fn=None if detach or self._prctl is None else before_exec,  # noqa: PLW1509 - only a system call
            )

        if detach:
            self._detached.append(make())
            return self._detached[-1]
        done: Future[subprocess.Popen[bytes]] = Future()
        with self._lock:
            if self._owner != parent:  # first use, or we are a fork of the process that had the thread
                self._work = queue.SimpleQueue()
                threading.Thread(target=self._run, args=(self._work,), name="spawner", daemon=True).start()
                self._owner = parent
            self._work.put((make, done))
        return done.result()

    @staticmethod
    def _run(
        work: "queue.SimpleQueue[tuple[Callable[[], subprocess.Popen[bytes]], Future[subprocess.Popen[bytes]]]]",
    ) -> None:
        while True:
            make, done = work.get()
            try:
                done.set_result(make())
            except BaseException as error:  # noqa: BLE001 - it belongs to the caller's thread
                done.set_exception(error)


class _Reaper:
    """Our end of the pipe to the process that kills what we leave behind."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._owner = 0
        self._process: subprocess.Popen[bytes] | None = None

    def watch(self, pid: int) -> None:
        with self._lock:
            if self._owner != os.getpid():
                self._process = subprocess.Popen(  # noqa: S603 - our own file
                    [sys.executable, "-I", "-S", str(Path(__file__).with_name("reaper.py")), str(os.getpid())],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    start_new_session=True,
                )
                self._owner = os.getpid()
            self._tell(f"+{pid}\n")

    def forget(self, pid: int) -> None:
        with self._lock:
            if self._owner == os.getpid():
                self._tell(f"-{pid}\n")

    def _tell(self, line: str) -> None:
        if self._process is not None and self._process.stdin is not None:
            with contextlib.suppress(OSError):
                self._process.stdin.write(line.encode())
                self._process.stdin.flush()


def _find_prctl() -> Callable[..., int] | None:
    if sys.platform != "linux":
        return None
    try:
        prctl: Callable[..., int] = ctypes.CDLL(None, use_errno=True).prctl
    except (OSError, AttributeError):
        return None
    return prctl


_spawner = _Spawner()
_reaper = _Reaper()
