"""One run of one contestant: fresh topics, input filled beforehand, worker started, watched, measured and checked."""

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from evenhand.topics import ASSIGNMENTS, EVIDENCE, PREDICTIONS, SCORED
from tests.benchmarks import log
from tests.benchmarks.books import Books, check
from tests.benchmarks.contestants import OUT, ROOT, Contestant
from tests.benchmarks.workload import Workload

QUIET_S = 2.0  # the outputs have stood still for that long: it has finished, or is stuck
START_S = 45.0  # by then the first output must be there
POLL_S = 0.25


@dataclass
class Run:
    """What one run measured. Rates are requests whose whole lifecycle was finished, a second."""

    contestant: str
    requests: int
    problems: list[str] = field(default_factory=list)
    start_s: float = 0.0  # from the start of the process to its first output
    work_s: float = 0.0  # from its first output to the last that was expected
    per_s: float = 0.0
    cpu_s: float = 0.0  # all of the process, from its start
    work_cpu_s: float = 0.0  # from its first output
    rss_mb: float = 0.0  # the most it ever held
    repeats: int = 0

    @property
    def counts(self) -> bool:
        """Whether it finished with balanced books: only then it is compared."""
        return not self.problems


async def run(
    contestant: Contestant, work: Workload, bootstrap: str, var: Path, models: Path, *, label: str, deadline_s: float
) -> Run:
    """Run a contestant over a workload, each time in topics of its own."""
    prefix, home = f"{label}-{contestant.name}.", var / "bench" / "runs" / f"{label}-{contestant.name}"
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(parents=True)
    (home / "models").symlink_to(models)  # where evenhand looks for them
    await log.create(bootstrap, prefix, contestant.topics)
    for topic, partitions in work.records.items():
        await log.fill(bootstrap, prefix + topic, partitions)
    result = Run(contestant.name, work.requests)
    environment = contestant.env(bootstrap, prefix, home, models)
    output = (home / "worker.log").open("wb")
    began = time.time()
    worker = subprocess.Popen(
        contestant.command, cwd=ROOT, env=environment, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
    )
    try:
        async with log.Watch(bootstrap, [prefix + name for name in (*OUT, *_early(contestant))]) as watch:
            await _follow(watch, worker, result, work, prefix, deadline_s)
            _stop(worker)
            seen = [await watch.read(prefix + name) for name in (PREDICTIONS, SCORED, EVIDENCE)]
            first = min((r.appended_ms for records in seen for r in records), default=int(began * 1000))
            for name in _early(contestant):
                first = min([first, *(r.appended_ms for r in await watch.read(prefix + name))])
        _conclude(result, check(work, *seen), first, began)
    finally:
        _stop(worker)
        output.close()
        await log.delete(bootstrap, prefix)
    return result


def _early(contestant: Contestant) -> list[str]:
    """Topics that a contestant writes before its predictions: its first output lies there."""
    return [topic.name for topic in contestant.topics if topic.name == ASSIGNMENTS]


async def _follow(
    watch: log.Watch, worker: subprocess.Popen[bytes], result: Run, work: Workload, prefix: str, deadline_s: float
) -> None:
    """Until all outputs are there and nothing more comes, or the deadline, or the worker's death."""
    began, before, since, first_cpu = time.monotonic(), {}, time.monotonic(), None
    process = psutil.Process(worker.pid)
    while True:
        await asyncio.sleep(POLL_S)
        now, lengths = time.monotonic(), await watch.lengths()
        if worker.poll() is not None:
            result.problems.append(f"the worker ended by itself with code {worker.returncode}")
            return
        result.cpu_s, result.rss_mb = _cpu_s(process), _peak_mb(process)
        if lengths != before:
            before, since = lengths, now
        if first_cpu is None and any(lengths.values()):
            first_cpu = result.cpu_s
        result.work_cpu_s = result.cpu_s - (first_cpu or 0.0)
        full = lengths[prefix + PREDICTIONS] >= work.requests and lengths[prefix + SCORED] >= work.matched
        if full and lengths[prefix + EVIDENCE] and now - since > QUIET_S:
            return
        if now - began > deadline_s or (now - began > START_S and not any(lengths.values())):
            of = f"{lengths[prefix + PREDICTIONS]} prediction and {lengths[prefix + SCORED]} scored records"
            result.problems.append(f"not finished after {now - began:.0f} s: {of} for {work.requests} requests")
            return


def _conclude(result: Run, books: Books, first_ms: int, began: float) -> None:
    result.start_s = first_ms / 1000 - began
    result.work_s = max(0.001, (books.finished_ms - first_ms) / 1000)
    result.repeats = books.repeats
    result.problems += books.errors[:5]
    if result.counts:
        result.per_s = result.requests / result.work_s


def _cpu_s(process: psutil.Process) -> float:
    with contextlib.suppress(psutil.Error):
        times = process.cpu_times()
        return times.user + times.system
    return 0.0


def _peak_mb(process: psutil.Process) -> float:
    with contextlib.suppress(OSError, ValueError):
        for line in Path(f"/proc/{process.pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    return 0.0


def _stop(worker: subprocess.Popen[bytes]) -> None:
    if worker.poll() is None:
        os.killpg(worker.pid, signal.SIGTERM)
        try:
            worker.wait(5)
        except subprocess.TimeoutExpired:
            os.killpg(worker.pid, signal.SIGKILL)
            worker.wait()
