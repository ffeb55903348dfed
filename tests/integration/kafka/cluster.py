"""Workers of the probe as subprocesses, input for them, and what must have come out."""

import asyncio
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Self

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from adapters.kafka.settings import KafkaSettings
from adapters.kafka.topics import ensure_topics
from evenhand import topics as t

ROOT = Path(__file__).parents[3]
QUICK = {
    "EVENHAND_SESSION_TIMEOUT_S": "6", "EVENHAND_REBALANCE_TIMEOUT_S": "10", "EVENHAND_COMMIT_INTERVAL_S": "0.2",
    "EVENHAND_REVOKE_TIMEOUT_S": "3",
}  # fmt: skip


class Worker:
    """One worker process."""

    def __init__(self, settings: KafkaSettings, log: Path, environment: Mapping[str, str], app: str) -> None:
        self.log = log
        with log.open("ab") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "faust", "-A", app, "worker", "-l", "warn", "--without-web"],
                cwd=ROOT, stdout=out, stderr=out,
                env={**os.environ, **settings.environment(), **QUICK, **environment, "PYTHONUNBUFFERED": "1"},
            )  # fmt: skip

    def kill(self, number: int = signal.SIGKILL) -> None:
        self.process.send_signal(number)

    @property
    def text(self) -> str:
        return self.log.read_text(errors="replace")

    async def started(self, timeout_s: float = 60) -> None:
        """Until the probe says that it runs."""
        deadline = time.monotonic() + timeout_s
        while "started" not in self.text:
            if time.monotonic() > deadline:
                raise TimeoutError(f"the worker did not start within {timeout_s} s; its log ends: {self.text[-2000:]}")
            await asyncio.sleep(0.05)

    async def ended(self, timeout_s: float = 30) -> int:
        deadline = time.monotonic() + timeout_s
        while self.process.poll() is None:
            if time.monotonic() > deadline:
                raise TimeoutError(f"the worker did not end within {timeout_s} s; its log ends: {self.text[-2000:]}")
            await asyncio.sleep(0.05)
        return self.process.returncode


class Cluster:
    """A number of workers that is kept up."""

    def __init__(self, settings: KafkaSettings, var: Path, app: str = "tests.integration.kafka.probe") -> None:
        self.settings, self.var, self.app = settings, var, app
        self.workers: list[Worker] = []
        self._started = 0

    def start(self, **environment: str) -> Worker:
        self.var.mkdir(parents=True, exist_ok=True)
        worker = Worker(self.settings, self.var / f"worker-{self._started}.log", environment, self.app)
        self._started += 1
        self.workers.append(worker)
        return worker

    def replace_dead(self) -> int:
        dead = [worker for worker in self.workers if worker.process.poll() is not None]
        for worker in dead:
            self.workers.remove(worker)
            self.start()
        return len(dead)

    def stop(self) -> None:
        for worker in self.workers:
            if worker.process.poll() is None:
                worker.kill(signal.SIGCONT)
                worker.kill()
            worker.process.wait(10)

    def logs(self) -> str:
        return "\n".join(path.read_text(errors="replace")[-3000:] for path in sorted(self.var.glob("worker-*.log")))


@asynccontextmanager
async def cluster(
    settings: KafkaSettings, var: Path, app: str = "tests.integration.kafka.probe"
) -> AsyncIterator[Cluster]:
    """Topics and a cluster without workers, ended afterwards."""
    await ensure_topics(settings, t.every_topic())
    running = Cluster(settings, var, app)
    try:
        yield running
    finally:
        running.stop()


async def produce_pairs(
    settings: KafkaSettings, pairs: int, seed: int = 1, *, spread_s: float = 0.0
) -> dict[bytes, bytes]:
    """Requests and outcomes in random order and partitions, 5 % twice; returns what each id must become."""
    random_ = random.Random(seed)
    expected: dict[bytes, bytes] = {}
    sends: list[tuple[str, bytes]] = []
    for i in range(pairs):
        name = b"key%d-%d-%d" % (random_.randrange(200), seed, i)
        expected[name] = b"outcome=o%d&request=r%d" % (i, i)
        for topic, value in ((t.REQUESTS, b"r%d" % i), (t.OUTCOMES, b"o%d" % i)):
            sends += [(topic, name + b"|" + value)] * (2 if random_.random() < 0.05 else 1)
    random_.shuffle(sends)
    producer = AIOKafkaProducer(**settings.client_kwargs(), acks="all", enable_idempotence=settings.idempotence)
    await producer.start()
    try:
        chunk = max(1, len(sends) // 50)
        for start in range(0, len(sends), chunk):
            await asyncio.gather(
                *[
                    await producer.send(settings.topic(topic), value, partition=random_.randrange(settings.partitions))
                    for topic, value in sends[start : start + chunk]
                ]
            )
            await asyncio.sleep(spread_s / 50)
    finally:
        await producer.stop()
    return expected


class Outcome:
    """What came out of the probe, by id."""

    def __init__(self) -> None:
        self.pairs: dict[bytes, set[bytes]] = {}
        self.forwarded: set[bytes] = set()
        self.records = 0

    def take(self, topic: str, value: bytes) -> None:
        name, _, content = value.partition(b"|")
        if topic == t.SCORED:
            self.records += 1
            self.pairs.setdefault(name, set()).add(content)
        else:
            self.forwarded.add(name)

    def faults(self, expected: Mapping[bytes, bytes]) -> dict[str, int]:
        """What is wrong, by kind; all zero if nothing is."""
        return {
            "missing": len(expected.keys() - self.pairs.keys()),
            "unknown": len(self.pairs.keys() - expected.keys()),
            "torn": sum(1 for name, found in self.pairs.items() if found != {expected.get(name)}),
            "missed by the slow reader": len(expected.keys() - self.forwarded),
        }


class Observer:
    """Reads what the probe writes, while it writes."""

    def __init__(self, settings: KafkaSettings) -> None:
        self.settings, self.outcome = settings, Outcome()
        self._consumer = AIOKafkaConsumer(
            **settings.client_kwargs(), enable_auto_commit=False, auto_offset_reset="earliest", fetch_max_wait_ms=50
        )

    async def __aenter__(self) -> Self:
        await self._consumer.start()
        self._consumer.assign(
            [
                TopicPartition(self.settings.topic(topic), partition)
                for topic in (t.SCORED, t.EVIDENCE)
                for partition in range(self.settings.partitions)
            ]
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._consumer.stop()

    async def poll(self, timeout_ms: int = 200) -> None:
        for tp, records in (await self._consumer.getmany(timeout_ms=timeout_ms)).items():
            for record in records:
                self.outcome.take(self.settings.bare(tp.topic), record.value)

    async def complete(
        self, expected: Mapping[bytes, bytes], cluster_: Cluster, timeout_s: float = 90
    ) -> dict[str, int]:
        """Wait until nothing is missing, keeping the workers up; return what is wrong."""
        deadline = time.monotonic() + timeout_s
        while any(self.outcome.faults(expected).values()) and time.monotonic() < deadline:
            await self.poll()
            cluster_.replace_dead()
        await self.poll(500)
        return self.outcome.faults(expected)
