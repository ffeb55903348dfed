"""What a replay plays again: the topics of a running loop, or a folder that `evenhand topics export` wrote."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

from adapters.exports import Contents, read_contents, read_export
from adapters.kafka.log_reader import LogReader
from adapters.kafka.settings import KafkaSettings
from evenhand.errors import EvenhandError
from evenhand.topics import COMMANDS, DECISIONS, EVIDENCE, METRICS, OUTCOMES, PREDICTIONS, REQUESTS

USERS_WRITE = (REQUESTS, OUTCOMES, METRICS, COMMANDS)
NEEDED = (*USERS_WRITE, PREDICTIONS, EVIDENCE, DECISIONS)
_PAUSE_EVERY = 2000


class Recorded(NamedTuple):
    """A record of the recording, under the bare name of its topic."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]]


class Range(NamedTuple):
    """Records that arrived at or after `start_ms` and before `end_ms`."""

    start_ms: int | None = None
    end_ms: int | None = None

    def has(self, timestamp: int) -> bool:
        """Whether it arrived in this range."""
        return (self.start_ms is None or timestamp >= self.start_ms) and (
            self.end_ms is None or timestamp < self.end_ms
        )


ALL = Range()


class Recording(Protocol):
    """Where records come from. Each partition comes in order."""

    partitions: int

    def read(self, topics: Sequence[str], within: Range = ALL) -> AsyncIterator[Recorded]:
        """The records of topics up to what is there now."""
        ...


class Topics:
    """A loop that runs, or ran, on a broker that still has its topics."""

    def __init__(self, settings: KafkaSettings, reader: LogReader) -> None:
        self.partitions, self._settings, self._reader = settings.partitions, settings, reader

    async def read(self, topics: Sequence[str], within: Range = ALL) -> AsyncIterator[Recorded]:
        places = await self._reader.places(*topics)
        start, end = await self._reader.beginnings(places), await self._reader.ends(places)
        if within.start_ms is not None:
            start = await self._reader.at_time(places, within.start_ms)
        if within.end_ms is not None:
            until = await self._reader.at_time(places, within.end_ms)
            end = {place: min(offset, until[place]) for place, offset in end.items()}
        async for record in self._reader.read(start, end):
            yield Recorded(
                self._settings.bare(record.topic), record.partition, record.offset, record.timestamp,
                record.key, record.value, record.headers,
            )  # fmt: skip


class Export:
    """A folder. Raises if something that a replay needs is not in it."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._contents = folder, _complete(folder)
        self.partitions = len(self._contents.topics[REQUESTS])

    async def read(self, topics: Sequence[str], within: Range = ALL) -> AsyncIterator[Recorded]:
        for topic in topics:
            for partition, count in enumerate(self._contents.topics[topic]):
                number = 0
                for number, record in enumerate(read_export(self._folder, topic, partition), 1):
                    if within.has(record.timestamp):
                        yield Recorded(topic, partition, *record)
                    if not number % _PAUSE_EVERY:
                        await asyncio.sleep(0)
                if number != count:
                    raise EvenhandError(
                        f"{self._folder / topic / f'{partition}.ndjson'} has {number} records, and was written with "
                        f"{count}: export again"
                    )


def _complete(folder: Path) -> Contents:
    contents = read_contents(folder)
    missing = [name for name in NEEDED if not contents.topics.get(name)]
    if missing:
        raise EvenhandError(f"{folder} lacks {', '.join(missing)}: export all topics, without --topic")
    return contents
