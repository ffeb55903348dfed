"""One run of one contestant: fresh topics, input filled beforehand, worker started, watched, measured and checked."""

import asyncio
import os
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from evenhand.topics import ASSIGNMENTS, EVIDENCE, PREDICTIONS, SCORED
from tests.benchmarks import log
from tests.benchmarks.books import Books, check
from tests.benchmarks.contestants import OUT, Contestant
from tests.benchmarks.process import Worker
from tests.benchmarks.workload import Rows, Workload

QUIET_S = 2.0  # the outputs have stood still for that long: it has finished, or is stuck
START_S = 45.0  # by then the first output must be there
POLL_S = 0.25
LOOK_S = 1.0  # how long the machine is looked at before a run
Check = Callable[[dict[str, list[log.Seen]]], Books]


@dataclass
class Run:
    """What one run measured. Rates are requests whose whole lifecycle was finished (or records of a hop), a second."""

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
    other_load_percent: float = 0.0  # how busy the machine was before it began, all processors together
    load_average: float = 0.0

    @property
    def counts(self) -> bool:
        """Whether it finished with balanced books: only then it is compared."""
        return not self.problems

    def conclude(self, first_ms: int, finished_ms: int, began: float) -> None:
        """Work out the rate, if it finished."""
        self.start_s = first_ms / 1000 - began
        self.work_s = max(0.001, (finished_ms - first_ms) / 1000)
        if self.counts:
            self.per_s = self.requests / self.work_s


@dataclass(frozen=True)
class Place:
    """Where a run happens: a broker, a folder for what it leaves, and the models on trial."""

    bootstrap: str
    var: Path
    models: Path


async def run(contestant: Contestant, work: Workload, place: Place, *, label: str, deadline_s: float) -> Run:
    """Run a contestant over the lifecycle of a workload, each time in topics of its own."""
    wanted = {PREDICTIONS: work.requests, SCORED: work.matched, EVIDENCE: 1}
    result, books, first_ms, began = await observe(
        contestant, work.requests, work.records, wanted, place, label=label, deadline_s=deadline_s,
        check=lambda seen: check(work, *(seen[name] for name in OUT)),
    )  # fmt: skip
    result.conclude(first_ms, books.finished_ms, began)
    return result


async def observe(
    contestant: Contestant, requests: int, records: dict[str, list[Rows]], wanted: dict[str, int], place: Place, *,
    label: str, deadline_s: float, check: Check,
) -> tuple[Run, Books, int, float]:  # fmt: skip
    """Start a contestant on filled topics until its outputs are as long as wanted; what it did, checked."""
    prefix, home = f"{label}-{contestant.name}.", place.var / "bench" / "runs" / f"{label}-{contestant.name}"
    _empty(home, place.models)
    await log.create(place.bootstrap, prefix, contestant.topics)
    try:
        for topic, partitions in records.items():
            await log.fill(place.bootstrap, prefix + topic, partitions)
        result = Run(contestant.name, requests)
        result.other_load_percent = await asyncio.to_thread(psutil.cpu_percent, LOOK_S)
        result.load_average = os.getloadavg()[0]
        early = [topic.name for topic in contestant.topics if topic.name == ASSIGNMENTS]  # written before predictions
        watched = [prefix + name for name in (*wanted, *early)]
        environment = contestant.env(place.bootstrap, prefix, home, place.models)
        async with log.Watch(place.bootstrap, watched) as watch:
            with Worker(contestant, environment, home / "worker.log") as worker:
                await _follow(watch, worker, result, {prefix + name: n for name, n in wanted.items()}, deadline_s)
            seen = {name: await watch.read(prefix + name) for name in (*wanted, *early)}
        first_ms = min((r.appended_ms for found in seen.values() for r in found), default=int(worker.began * 1000))
        books = check(seen)
        result.repeats = books.repeats
        result.problems += books.errors[:5]
        return result, books, first_ms, worker.began
    finally:
        await log.delete(place.bootstrap, prefix)


def _empty(home: Path, models: Path) -> None:
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(parents=True)
    (home / "models").symlink_to(models.resolve())  # where evenhand looks for them


async def _follow(watch: log.Watch, worker: Worker, result: Run, wanted: dict[str, int], deadline_s: float) -> None:
    """Until all outputs are there and nothing more comes, or the deadline, or the worker's death."""
    began = since = time.monotonic()
    before: dict[str, int] = {}
    first_cpu: float | None = None
    while True:
        await asyncio.sleep(POLL_S)
        now, lengths = time.monotonic(), await watch.lengths()
        if (code := worker.look()) is not None:
            result.problems.append(f"the worker ended by itself with code {code}")
            return
        result.cpu_s, result.rss_mb = worker.cpu_s, worker.rss_mb
        if lengths != before:
            before, since = lengths, now
        if first_cpu is None and any(lengths.values()):
            first_cpu = result.cpu_s
        result.work_cpu_s = result.cpu_s - (first_cpu or 0.0)
        if all(lengths[topic] >= count for topic, count in wanted.items()) and now - since > QUIET_S:
            return
        if now - began > deadline_s or (now - began > START_S and not any(lengths.values())):
            of = ", ".join(f"{lengths[topic]} of {count} in {topic}" for topic, count in wanted.items())
            result.problems.append(f"not finished after {now - began:.0f} s: {of}")
            return
