"""Reads topics without a consumer group: where partitions begin and end, ranges, the last records.

The end of a partition is taken from a fetch where the broker's answer for the latest offset is wrong, and a place in
time is found by reading where look-ups by time cannot be trusted (`Capabilities`).
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Mapping

from aiokafka import AIOKafkaConsumer, ConsumerRecord
from aiokafka.errors import GroupCoordinatorNotAvailableError, KafkaError
from aiokafka.structs import OffsetAndMetadata, TopicPartition

from adapters.errors import DependencyUnavailable
from adapters.kafka.closing import stop_consumer
from adapters.kafka.connection import check_connection
from adapters.kafka.gapless import make_consumer
from adapters.kafka.settings import KafkaSettings
from adapters.kafka.topics import admin

_DEADLINE_S = 30.0
_POLL_MS = 200
Places = Mapping[TopicPartition, int]


@contextlib.asynccontextmanager
async def log_reader(settings: KafkaSettings) -> AsyncIterator["LogReader"]:
    """A reader that is closed afterwards. Raises DependencyUnavailable, naming the setting, if no broker answers."""
    await check_connection(settings)
    consumer = make_consumer(
        settings, enable_auto_commit=False, auto_offset_reset="earliest", fetch_max_wait_ms=100,
        max_partition_fetch_bytes=1 << 20, max_poll_records=5000,
    )  # fmt: skip
    try:
        await consumer.start()
        yield LogReader(settings, consumer)
    except (KafkaError, TimeoutError) as error:
        raise DependencyUnavailable(f"the broker at {settings.bootstrap_servers} fails: {error!r}") from error
    finally:
        await stop_consumer(consumer)


class LogReader:
    """One consumer that is sent here and there. Topics are given by their bare names."""

    def __init__(self, settings: KafkaSettings, consumer: AIOKafkaConsumer) -> None:
        self._settings, self._consumer = settings, consumer

    async def places(self, *topics: str) -> list[TopicPartition]:
        """All partitions of topics, in order. Raises if a topic does not exist."""
        # What the client remembers is cut to the topics that it reads: all are asked for.
        cluster = await self._consumer._client.fetch_all_metadata()  # noqa: SLF001
        found = []
        for topic in topics:
            full = self._settings.topic(topic)
            numbers = cluster.partitions_for_topic(full)
            if not numbers:
                raise DependencyUnavailable(
                    f"topic {full} does not exist at {self._settings.bootstrap_servers}: `evenhand up` creates all "
                    "topics, and so does `evenhand topics create`"
                )
            found += [TopicPartition(full, number) for number in sorted(numbers)]
        return found

    async def beginnings(self, places: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        """The first offset that each partition still has."""
        asked = list(places)
        return dict(await self._consumer.beginning_offsets(asked)) if asked else {}

    async def ends(self, places: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        """The offset of the next record of each partition."""
        asked = list(places)
        if not asked:
            return {}
        found: dict[TopicPartition, int] = dict(await self._consumer.end_offsets(asked))
        if self._settings.capabilities.end_offsets_exact:
            return found
        # What it says is not beyond the end: a fetch from there tells the high watermark.
        self._move(found)
        async with asyncio.timeout(_DEADLINE_S):
            while any(self._consumer.highwater(place) is None for place in asked):
                await self._consumer.getmany(timeout_ms=20)
        return {place: max(self._consumer.highwater(place), found[place]) for place in asked}

    async def read(self, start: Places, end: Places | None = None) -> AsyncGenerator[ConsumerRecord, None]:
        """Records from `start` on, in order within each partition: up to `end`, exclusive, or for ever."""
        if end is None:
            self._move(start)
            while True:
                for record in await self._fetch():
                    yield record
        open_places = {place: offset for place, offset in start.items() if offset < end[place]}
        self._move(open_places)
        loop = asyncio.get_running_loop()
        moved_at = loop.time()
        while open_places:
            for record in await self._fetch():
                if record.offset < end[TopicPartition(record.topic, record.partition)]:
                    yield record
                    moved_at = loop.time()
            for place in list(open_places):
                position = await self._consumer.position(place)  # compaction can end before a record
                if position > open_places[place]:
                    open_places[place], moved_at = position, loop.time()
                if position >= end[place]:
                    del open_places[place]
                    self._consumer.pause(place)
            if loop.time() - moved_at > _DEADLINE_S:
                place, position = next(iter(open_places.items()))
                raise DependencyUnavailable(
                    f"{place.topic}[{place.partition}]: nothing could be read at offset {position} for "
                    f"{_DEADLINE_S:g} s, before its end {end[place]}"
                )

    async def last(self, places: Iterable[TopicPartition], count: int) -> dict[TopicPartition, list[ConsumerRecord]]:
        """The last `count` records of each partition (fewer, where offsets are missing)."""
        ends = await self.ends(places)
        begins = await self.beginnings(ends)
        found: dict[TopicPartition, list[ConsumerRecord]] = {place: [] for place in ends}
        start = {place: max(begins[place], end - count) for place, end in ends.items()}
        async for record in self.read(start, ends):
            found[TopicPartition(record.topic, record.partition)].append(record)
        return found

    async def at_time(self, places: Iterable[TopicPartition], time_ms: int) -> dict[TopicPartition, int]:
        """Where each partition's records reach a time (of the record, so usually of its arrival)."""
        asked = list(places)
        ends = await self.ends(asked)
        if self._settings.capabilities.time_lookup:
            looked_up = await self._consumer.offsets_for_times(dict.fromkeys(asked, time_ms))
            return {place: ends[place] if found is None else found.offset for place, found in looked_up.items()}
        reached = dict(ends)
        async for record in self.read(await self.beginnings(asked), ends):
            place = TopicPartition(record.topic, record.partition)
            if record.timestamp >= time_ms:
                reached[place] = min(reached[place], record.offset)
        return reached

    def _move(self, start: Places) -> None:
        self._consumer.unsubscribe()
        self._consumer.assign(list(start))
        for place, offset in start.items():
            self._consumer.seek(place, offset)

    async def _fetch(self) -> list[ConsumerRecord]:
        got = await self._consumer.getmany(timeout_ms=_POLL_MS)
        return [record for records in got.values() for record in records]


async def committed(settings: KafkaSettings, group: str, places: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
    """What a group has committed; partitions without a commit are left out.

    The first group of a new broker has no coordinator until the broker has made a topic of its own.
    """
    asked, give_up = list(places), asyncio.get_running_loop().time() + _DEADLINE_S
    found: dict[TopicPartition, OffsetAndMetadata] = {}
    async with admin(settings) as client:
        while True:
            try:
                found = await client.list_consumer_group_offsets(group, partitions=asked)
                return {place: entry.offset for place, entry in found.items() if entry.offset >= 0}
            except GroupCoordinatorNotAvailableError:
                if asyncio.get_running_loop().time() > give_up:
                    raise
                await asyncio.sleep(_POLL_MS / 1000)
