"""A loop of its own: topics under a prefix, workers that read them, and nothing left when it ends.

The demo and every replay play on one. Whoever opens it writes the requests, the ticks and the controls
(EVENHAND_CONTROLS=given); live topics are never touched.
"""

import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from adapters import processes
from adapters.errors import DependencyUnavailable
from adapters.kafka.appending import Appender, appender
from adapters.kafka.deleting import delete_all
from adapters.kafka.settings import KafkaSettings
from adapters.kafka.topics import ensure_topics
from adapters.loop_state import group
from adapters.service import Service
from evenhand.topics import every_topic

_TRIES = 4
_WORKER_GRACE_S = 10.0


class Stage:
    """What plays: where its topics are, and its workers."""

    def __init__(self, settings: KafkaSettings, home: Path, write: Appender, workers: list[Service]) -> None:
        self.settings, self.home, self.write, self.workers = settings, home, write, workers
        self.killed = 0

    def tend(self) -> None:
        """Start workers again that died. Raises when one cannot live."""
        for worker in self.workers:
            worker.look()
            if worker.early_ends >= _TRIES + self.killed:
                raise DependencyUnavailable(
                    f"{worker.name} ended {worker.early_ends} times (status {worker.last_exit}); its log ends with:\n"
                    f"{processes.tail(self.home / 'log' / f'{worker.name}.log')}"
                )

    def kill(self, number: int) -> None:
        """Kill a worker with -9; `tend` starts it again."""
        child = self.workers[number % len(self.workers)].child
        if child is not None and child.alive():
            self.killed += 1
            os.kill(child.pid, signal.SIGKILL)

    def complaint(self) -> str:
        """The ends of the workers' logs."""
        return "\n".join(f"{worker.name}: {worker.log_tail()}" for worker in self.workers)


@contextlib.asynccontextmanager
async def stage(
    settings: KafkaSettings,
    home: Path,
    *,
    models_home: Path,
    workers: int,
    environment: Mapping[str, str],
    root: Path,
    say: Callable[[str], None],
) -> AsyncIterator[Stage]:
    """Topics and workers. Logs go to `home`, models lie under `models_home`, `agents` lies in `root`.

    `environment` is what the workers get besides. Topics under a prefix are deleted at the end, and their consumer
    group; without one the broker must be ours alone, and ends with us.
    """
    say("creating the topics")
    await ensure_topics(settings, every_topic())
    given = {
        **environment,
        **settings.environment(),
        "EVENHAND_TOPIC_PREFIX": settings.topic_prefix,
        "EVENHAND_HOME": str(models_home),
        "EVENHAND_CONTROLS": "given",
        "OMP_NUM_THREADS": "1",
    }
    services = [_worker(f"worker-{number + 1}", home, given, root) for number in range(workers)]
    try:
        say(f"starting {workers} worker{'s' if workers > 1 else ''}")
        for service in services:
            service.start()
        async with appender(settings) as write:
            yield Stage(settings, home, write, services)
    finally:
        with ThreadPoolExecutor(len(services)) as pool:
            list(pool.map(lambda service: service.stop(_WORKER_GRACE_S), services))
        if settings.topic_prefix:
            await delete_all(settings, group(settings))


def _worker(name: str, home: Path, environment: Mapping[str, str], root: Path) -> Service:
    command = [sys.executable, "-m", "faust", "-A", "agents.app", "worker", "-l", "warn", "--without-web"]
    mine = {**environment, "BROKER_CLIENT_ID": f"evenhand-{name}"}

    def start() -> processes.Child:
        return processes.start(name, command, log=home / "log" / f"{name}.log", env=mine, cwd=root)

    return Service(name, start)
