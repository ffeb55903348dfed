"""A story told to real workers by plain clients, and what is wrong with what came of it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from aiokafka.structs import TopicPartition

from adapters.kafka.changelog import Loaded
from adapters.kafka.log_reader import committed, log_reader
from adapters.kafka.settings import KafkaSettings
from adapters.kafka.topics import ensure_topics
from adapters.loop_state import group
from evenhand import topics as t
from evenhand.experiments.experiment import Experiment
from tests.faults.books import Books, told, total_counts
from tests.faults.clients import Clients
from tests.faults.fold import Expected, Version
from tests.faults.loop import LINES, Loop, controls, trial
from tests.faults.plain import Users
from tests.faults.readings import DERIVED, read, replayed, state
from tests.faults.story import Story, poisoned, tick

READERS = {
    "assignment": (t.REQUESTS,), "intake": (t.OUTCOMES, t.METRICS), "inference": (t.ASSIGNMENTS,),
    "attribution": (t.PREDICTIONS, t.OBSERVATIONS), "evidence": (t.PREDICTIONS, t.SCORED), "posterior": (t.EVIDENCE,),
    "measurement": (t.ASSIGNMENTS, t.PREDICTIONS, t.OBSERVATIONS, t.SCORED), "reports": (t.MEASUREMENTS,),
    "drift": (t.MEASUREMENTS,), "slo": (t.MEASUREMENTS, t.REPORTS),
    "alerting": (t.SERVICE_LEVELS, t.DRIFT_SIGNALS, t.DECISIONS, t.COMMANDS),
}  # fmt: skip


@contextlib.asynccontextmanager
async def playing(
    settings: KafkaSettings, var: Path, story: Story | None = None, app: str = "tests.faults.worker", **environment: str
) -> AsyncIterator["Play"]:
    """A play on topics of its own, without workers; those that are started end with it."""
    await ensure_topics(settings, t.every_topic())
    loop = Loop(settings, var, app, **environment)
    try:
        yield Play(loop, story or Story())
    finally:
        loop.stop()


class Play:
    """Told with garbage as the first and as the last record of each partition, and with ticks that the story writes."""

    def __init__(self, loop: Loop, story: Story, experiment: Experiment | None = None) -> None:
        self.loop, self.story, self.experiment = loop, story, experiment or trial(story)
        self.clients = Clients(loop.settings)
        self.expected: Expected | None = None
        self.decided: list[bytes] = []
        self.hurry = asyncio.Event()

    async def tell(self, pace_s: float = 0.0) -> None:
        """Everything, a second of the story in `pace_s`; without any pause once `hurry` is set."""
        story, told = self.story, self.story.told()
        await self.clients.tell([*poisoned(), *controls(story, self.experiment)])
        for second in range(story.last_second + 1):
            await self.clients.tell(tick(story.start_ms + second * 1000))
            await self.clients.tell(told.get(second, ()))
            if second < story.seconds:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self.hurry.wait(), pace_s)
        await self.clients.tell(poisoned())

    async def told(self, telling: "asyncio.Task[None]") -> None:
        """What was to be done meanwhile is done: tell the rest at once."""
        assert not telling.done(), "the load ended too early to show anything"
        self.hurry.set()
        await telling

    async def faults(self, timeout_s: float = 120) -> dict[str, list[Any]]:
        """What is wrong with the books, when nothing moves any more."""
        await self.loop.settle(timeout_s)
        await self.loop.one_owner_each()
        reckoning = await reckon(self.loop.settings, self.loop.home / "models", LINES)
        self.expected, self.decided = reckoning.expected, reckoning.decided
        told_is_there(reckoning, self.clients, self.story)
        return reckoning.faults


class Reckoning(NamedTuple):
    """What users wrote, what had to come of it, what was decided, and what is wrong."""

    users: Users
    expected: Expected
    decided: list[bytes]
    faults: dict[str, list[Any]]


async def reckon(settings: KafkaSettings, models: Path, versions: Mapping[tuple[str, str], Version]) -> Reckoning:
    """The books of a log in which nothing moves any more."""
    records = await read(settings)
    users = Users.read(records)
    expected, decided = Expected(users, versions), told(records, t.DECISIONS)
    books = Books(expected, records, settings.partitions)
    again = replayed(records, models, settings.partitions)
    for topic in DERIVED:
        if told(records, topic) != told(again, topic):
            books.faults[f"not what a replay in memory says: {topic}"].append(len(told(records, topic)))
    counts = total_counts(await state(settings, "attribution"))
    return Reckoning(users, expected, decided, books.check(counts))


def told_is_there(reckoning: Reckoning, clients: Clients, story: Story) -> None:
    """The log holds what the clients were told that it holds, and enough of everything."""
    users, expected = reckoning.users, reckoning.expected
    assert clients.acked == clients.asked
    assert len(users.requests) == story.requests
    assert users.copies > story.requests * story.repeated
    assert len(users.garbage) > story.requests * story.garbage
    assert expected.matured > story.requests / 2
    assert any(pair.late for pair in expected.pairs.values())


@contextlib.asynccontextmanager
async def commits_watched(settings: KafkaSettings) -> AsyncIterator[list[str]]:
    """I5: what is committed has been applied, at every sample. Yields what was found to the contrary."""
    found: list[str] = []
    task = asyncio.create_task(_watch(settings, found))
    try:
        yield found
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def _watch(settings: KafkaSettings, found: list[str]) -> None:
    async with log_reader(settings) as reader:
        inputs = await reader.places(*{topic for topics in READERS.values() for topic in topics})
        states = await reader.places(*(t.state_topic(agent).name for agent in READERS))
        read, loaded = dict.fromkeys(states, 0), {place: Loaded() for place in states}
        while True:
            done = await committed(settings, group(settings), inputs)
            ends = await reader.ends(states)  # after the commits: a state is written before its input is committed
            async for record in reader.read(read, ends):
                loaded[TopicPartition(record.topic, record.partition)].take(record)
            read = ends
            for agent, topics in READERS.items():
                for place, offset in done.items():
                    if (bare := settings.bare(place.topic)) in topics:
                        state = TopicPartition(settings.topic(t.state_topic(agent).name), place.partition)
                        applied = loaded[state].position.get(bare, -1)
                        if offset - 1 > applied:
                            found.append(f"{agent}: {place} is committed up to {offset}, applied up to {applied}")
            await asyncio.sleep(0.5)
