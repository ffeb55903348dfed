"""A contestant's worker process: started, measured while it runs, and ended."""

import contextlib
import os
import signal
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

from tests.benchmarks.contestants import ROOT, Contestant

STOP_S = 5.0


class Worker:
    """What it costs is kept from the last look at it, so that it is known after its end."""

    def __init__(self, contestant: Contestant, environment: dict[str, str], log: Path) -> None:
        self.began = time.time()
        self.cpu_s = self.rss_mb = 0.0
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                contestant.command, cwd=ROOT, env=environment, stdout=output, stderr=subprocess.STDOUT,
                start_new_session=True,
            )  # fmt: skip

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def look(self) -> int | None:
        """Note the processor time so far and the most memory that it ever held; its exit code if it has ended."""
        code = self._process.poll()
        if code is None:
            with contextlib.suppress(psutil.Error):
                times = psutil.Process(self._process.pid).cpu_times()
                self.cpu_s = times.user + times.system
            with contextlib.suppress(OSError, ValueError):
                for line in Path(f"/proc/{self._process.pid}/status").read_text().splitlines():
                    if line.startswith("VmHWM:"):
                        self.rss_mb = int(line.split()[1]) / 1024
        return code

    def stop(self) -> None:
        """End it and whatever it started."""
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGTERM)
            try:
                self._process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                os.killpg(self._process.pid, signal.SIGKILL)
                self._process.wait()
