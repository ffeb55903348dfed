"""Making children so that they end when we do, however we end.

- Linux sends the child SIGKILL (`PR_SET_PDEATHSIG`). The signal follows the *thread* that made the child, so
  all children are made by one thread that lives as long as the process.
- Everywhere, a small process (`adapters/reaper.py`) holds a pipe from us and kills the process groups that it was
  told of when the pipe closes. It also gets the children's own children.
"""

import atexit
import contextlib
import ctypes
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from pathlib import Path
from typing import IO

_PR_SET_PDEATHSIG = 1


class Spawner:
    """Makes all children in one thread that never ends."""

    def __init__(self) -> None:
        self._work: queue.SimpleQueue[tuple[Callable[[], subprocess.Popen[bytes]], Future[subprocess.Popen[bytes]]]]
        self._lock = threading.Lock()
        self._owner = 0
        self._prctl = _find_prctl()
        self._made: list[subprocess.Popen[bytes]] = []  # whoever drops a child leaves no zombie
        atexit.register(self._leave_all)

    def spawn(
        self, argv: list[str], out: IO[bytes], env: Mapping[str, str] | None, cwd: Path | None, *, detach: bool
    ) -> "subprocess.Popen[bytes]":
        """Start it, in a process group of its own."""
        parent = os.getpid()

        def before_exec() -> None:
            if self._prctl is not None:
                self._prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
                if os.getppid() != parent:  # it died between fork and here
                    os._exit(1)

        def make() -> "subprocess.Popen[bytes]":
            return subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                env=None if env is None else dict(env),
                cwd=cwd,
                start_new_session=True,
                preexec_fn=None if detach or self._prctl is None else before_exec,  # noqa: PLW1509 - only a system call
            )

        process = make() if detach else self._in_our_thread(make, parent)
        self._made = [process, *(earlier for earlier in self._made if earlier.poll() is None)]
        return process

    def _in_our_thread(self, make: Callable[[], "subprocess.Popen[bytes]"], parent: int) -> "subprocess.Popen[bytes]":
        done: Future[subprocess.Popen[bytes]] = Future()
        with self._lock:
            if self._owner != parent:  # first use, or we are a fork of the process that had the thread
                self._work = queue.SimpleQueue()
                threading.Thread(target=self._run, args=(self._work,), name="spawner", daemon=True).start()
                self._owner = parent
            self._work.put((make, done))
        return done.result()

    def _leave_all(self) -> None:
        for process in self._made:
            _leave(process)

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


class Reaper:
    """Our end of the pipe to the process that kills what we leave behind."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._owner = 0
        self._process: subprocess.Popen[bytes] | None = None

    def watch(self, pid: int) -> None:
        """Have the group killed when we are gone."""
        with self._lock:
            if self._owner != os.getpid():
                self._process = subprocess.Popen(
                    [sys.executable, "-I", "-S", str(Path(__file__).with_name("reaper.py")), str(os.getpid())],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    start_new_session=True,
                )
                self._owner = os.getpid()
                atexit.register(_leave, self._process)
            self._tell(f"+{pid}\n")

    def forget(self, pid: int) -> None:
        """It has ended."""
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


def _leave(process: "subprocess.Popen[bytes]") -> None:
    """Tell a Popen that nobody waits for its process any more, which it would complain of when we end."""
    if process.stdin is not None:
        process.stdin.close()
    if process.poll() is None:
        process.returncode = 0


spawner = Spawner()
reaper = Reaper()
