"""The whole loop in memory: a log of topics and partitions, and every processor, without Kafka.

It is what tests play with interleavings and crashes, and what simulations run thousands of times. The processors
are the ones that the agents run.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple, Protocol

from evenhand.processors.alerting import Alerting
from evenhand.processors.assignment import Assignment
from evenhand.processors.attribution import Attribution
from evenhand.processors.base import Headers, Output, Processor, Row
from evenhand.processors.control import Control
from evenhand.processors.drift import Drift, References
from evenhand.processors.evidence import Evidence
from evenhand.processors.inference import Inference, Predictors
from evenhand.processors.intake import Intake
from evenhand.processors.measurement import Measurement
from evenhand.processors.posterior import Posterior
from evenhand.processors.reports import Reports
from evenhand.processors.slo import Slo
from evenhand.topics import PARTITIONS

Make = Callable[[int, int], Processor]


class MemoryRecord(NamedTuple):
    """A record of the log in memory."""

    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Headers


class Random(Protocol):
    """What `random.Random` has; whoever wants a random order brings one."""

    def random(self) -> float: ...
    def randint(self, a: int, b: int) -> int: ...
    def randrange(self, n: int) -> int: ...


class Log:
    """Topics in memory: `log[topic, partition]` is a list of records."""

    def __init__(self, partitions: int = PARTITIONS) -> None:
        self.partitions = partitions
        self.records: dict[tuple[str, int], list[MemoryRecord]] = defaultdict(list)

    def append(self, topic: str, partition: int, rows: Iterable[Row], timestamp: int = 0) -> None:
        """Add rows to a partition."""
        held = self.records[topic, partition]
        held.extend(
            MemoryRecord(offset, timestamp, row.key, row.value, row.headers)
            for offset, row in enumerate(rows, len(held))
        )

    def values(self, topic: str) -> list[bytes]:
        """Values of a topic, partition by partition."""
        return [
            record.value
            for partition in range(self.partitions)
            for record in self.records[topic, partition]
            if record.value is not None
        ]


class _Work:
    """One processor of one partition, with its durable rows and positions."""

    def __init__(self, make: Make, partition: int, partitions: int) -> None:
        self._make, self._partition, self._partitions = make, partition, partitions
        self.processor = make(partition, partitions)
        self.reads = self.processor.reads
        self.rows: dict[bytes, bytes] = {}
        self.position = dict.fromkeys(self.reads, 0)

    def ready(self, log: Log) -> list[str]:
        return [t for t in self.reads if self.position[t] < len(log.records[t, self._partition])]

    def step(self, log: Log, topic: str, count: int, random: Random | None, crash: float) -> None:
        records = log.records[topic, self._partition]
        start = self.position[topic]
        output = self.processor.apply(topic, records[start : start + count])
        if random is not None and random.random() < crash:
            self._crash(log, output, random)
            return
        for (name, partition), rows in output.sends.items():
            log.append(name, partition, rows, records[start].timestamp)
        for key, row in output.rows.items():
            if row is None:
                self.rows.pop(key, None)
            else:
                self.rows[key] = row
        self.position[topic] = min(start + count, len(records))

    def _crash(self, log: Log, output: Output, random: Random) -> None:
        """Killed after some of the sends: the state is what was written before, and the batch comes again."""
        for (name, partition), rows in output.sends.items():
            log.append(name, partition, rows[: random.randint(0, len(rows))])
        self.processor = self._make(self._partition, self._partitions)
        self.processor.load(self.rows.items())


def loop(predictors: Predictors, *, controls: bool = True, references: References | None = None) -> list[Make]:
    """Every processor of the loop; without `controls`, whoever writes the requests places the controls.

    `references` has the training samples of versions.
    """

    def inference(partition: int, partitions: int) -> Processor:
        return Inference(partition, partitions, predictors, clock=lambda: 0.0)

    def drift(partition: int, partitions: int) -> Processor:
        return Drift(partition, partitions, references)

    makes: list[Make] = [
        Assignment, Intake, inference, Attribution, Evidence, Posterior, Measurement, Reports, drift, Slo, Alerting,
    ]  # fmt: skip
    return [*makes, Control] if controls else makes


class Runner:
    """Runs processors over a log until nothing is left to read."""

    def __init__(self, log: Log, makes: Iterable[Make]) -> None:
        self.log = log
        self.work = [_Work(make, partition, log.partitions) for make in makes for partition in range(log.partitions)]

    def run(self, random: Random | None = None, crash: float = 0.0, batch: int = 2000) -> None:
        """In order, or in any order that `random` gives: other interleavings, batches, and crashes between writes."""
        while ready := [(work, topic) for work in self.work for topic in work.ready(self.log)]:
            if random is None:
                for work, topic in ready:
                    work.step(self.log, topic, batch, None, 0.0)
            else:
                work, topic = ready[random.randrange(len(ready))]
                work.step(self.log, topic, random.randint(1, batch), random, crash)


def state_of(runner: Runner, name: str) -> Mapping[int, Processor]:
    """The processors of a name, by partition."""
    return {work.processor.partition: work.processor for work in runner.work if work.processor.name == name}
