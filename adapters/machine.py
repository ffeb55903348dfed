"""What this machine and the processes of the loop use, as readings for `metrics.v1`."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import psutil


class Reading(NamedTuple):
    """One number. `process` is whose it is; empty: the machine's."""

    name: str
    value: float
    process: str = ""

    @property
    def full_name(self) -> str:
        """As MetricObserved has it: `w1_cpu_percent` is of the worker w1 alone."""
        return f"{self.process}_{self.name}" if self.process else self.name


class Machine:
    """Reads the host, and processes by their pids. The first reading of a CPU says nothing, and is left out."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._known = folder, dict[tuple[str, int], psutil.Process]()
        psutil.cpu_percent()

    def read(self, pids: Mapping[str, int]) -> list[Reading]:
        """The host's readings, and those of each named process that still runs."""
        readings = [
            Reading("cpu_percent", psutil.cpu_percent()),
            Reading("memory_percent", psutil.virtual_memory().percent),
            Reading("disk_percent", psutil.disk_usage(str(self._folder)).percent),
        ]
        self._known = {of: process for of, process in self._known.items() if pids.get(of[0]) == of[1]}
        for name, pid in sorted(pids.items()):
            readings += self._process(name, pid)
        return readings

    def _process(self, name: str, pid: int) -> Iterable[Reading]:
        try:
            is_new = (name, pid) not in self._known
            process = self._known.setdefault((name, pid), psutil.Process(pid))
            with process.oneshot():
                percent, memory = process.cpu_percent(), process.memory_info().rss
        except psutil.Error:
            self._known.pop((name, pid), None)
            return
        if not is_new:
            yield Reading("cpu_percent", percent, name)
        yield Reading("memory_bytes", float(memory), name)
