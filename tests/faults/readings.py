"""A log read when nothing moves in it any more, and the same decided again in memory."""

import asyncio
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from adapters.kafka.changelog import Loaded
from adapters.kafka.log_reader import committed, log_reader
from adapters.kafka.settings import KafkaSettings
from adapters.loop_state import group
from evenhand import topics as t
from evenhand.offline import Log, Runner, loop
from evenhand.processors.base import Row
from models.store import ModelStore
from tests.faults.plain import USERS_TOPICS, Stored

READ = (
    t.REQUESTS, t.OUTCOMES, t.METRICS, t.ASSIGNMENTS, t.PREDICTIONS, t.OBSERVATIONS, t.SCORED, t.EVIDENCE,
    t.MEASUREMENTS, t.REPORTS, t.SERVICE_LEVELS, t.DRIFT_SIGNALS, t.DECISIONS,
)  # fmt: skip
DERIVED = (t.DECISIONS, t.DRIFT_SIGNALS)  # the same bytes however it comes about
WRITTEN = (*READ, t.DEAD_LETTERS)


async def settle(settings: KafkaSettings, keep_up: Callable[[], object], timeout_s: float) -> float:
    """Wait until everything is consumed and nothing more comes (I7); return the seconds."""
    began, before = time.monotonic(), None
    async with log_reader(settings) as reader:
        places = await reader.places(*READ)
        while True:
            keep_up()
            ends = await reader.ends(places)
            done = await committed(settings, group(settings), places)
            behind = {place: end - done.get(place, 0) for place, end in ends.items() if end > done.get(place, 0)}
            if not behind and ends == before:
                return time.monotonic() - began
            before = None if behind else ends
            assert time.monotonic() - began < timeout_s, f"still behind after {timeout_s:g} s: {behind}"
            await asyncio.sleep(0.3)


async def read(settings: KafkaSettings, *topics: str) -> list[Stored]:
    """Everything that stands in topics, by default in all of the loop."""
    async with log_reader(settings) as reader:
        places = await reader.places(*(topics or WRITTEN))
        ends = await reader.ends(places)
        return [
            Stored(settings.bare(r.topic), r.partition, r.offset, r.value, dict(r.headers))
            async for r in reader.read(dict.fromkeys(places, 0), ends)
        ]


async def state(settings: KafkaSettings, agent: str) -> dict[int, Loaded]:
    """What the state topic of an agent says, by partition."""
    async with log_reader(settings) as reader:
        places = await reader.places(t.state_topic(agent).name)
        loaded = {place.partition: Loaded() for place in places}
        async for record in reader.read(dict.fromkeys(places, 0), await reader.ends(places)):
            loaded[record.partition].take(record)
    return loaded


def replayed(records: Iterable[Stored], models: Path, partitions: int) -> list[Stored]:
    """What the processors derive in memory, from what users, clock and controls wrote."""
    log = Log(partitions)
    for r in sorted(records, key=lambda r: (r.topic, r.partition, r.offset)):
        if r.topic in USERS_TOPICS:
            log.append(r.topic, r.partition, [Row(None, r.value, list(r.headers.items()))])
    Runner(log, loop(ModelStore(models), controls=False)).run()
    return [Stored(topic, 0, offset, v) for topic in DERIVED for offset, v in enumerate(log.values(topic))]
