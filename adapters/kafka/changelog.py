"""Reads the compacted topic that holds the rows of an agent, up to a given offset."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec
from aiokafka import AIOKafkaConsumer, ConsumerRecord
from aiokafka.structs import TopicPartition

from adapters.kafka import failpoints
from adapters.kafka.closing import stop_consumer
from adapters.kafka.gapless import make_consumer
from adapters.kafka.rows import OWNER, POSITION, RESET, StateError, Term, corrupt, read_term

if TYPE_CHECKING:
    from adapters.kafka.settings import KafkaSettings
    from adapters.kafka.timing import Timing

NO_TERM = Term(0, -1)


class Loaded:
    """What a changelog says, folded record by record."""

    def __init__(self) -> None:
        self.rows: dict[bytes, tuple[bytes, int]] = {}  # key -> value, offset
        self.position: dict[str, int] = {}
        self.term = NO_TERM
        self.ignored = 0
        self.damage: StateError | None = None  # the first row that cannot be used, since the last reset

    def take(self, record: ConsumerRecord) -> None:
        """Fold one record. Raises ValueError if it is not a row."""
        key, value = record.key, record.value
        if key is None:
            raise ValueError("a row without a key")
        if key == RESET:
            self.rows, self.position, self.term, self.damage = {}, {}, NO_TERM, None
            return
        term = read_term(record.headers)
        if term < self.term:  # written by a worker that had been replaced, and did not know it
            self.ignored += 1
            return
        self.term = term
        if key == POSITION:
            self.position = msgspec.json.decode(value or b"", type=dict[str, int])
        elif key == OWNER:
            return
        elif value is None:
            self.rows.pop(key, None)
        else:
            self.rows[key] = (value, record.offset)


class Changelog:
    """Reads state topics with one client, one partition at a time."""

    def __init__(self, settings: KafkaSettings, timing: Timing) -> None:
        self._settings, self._timing = settings, timing
        self._consumer: AIOKafkaConsumer | None = None
        self._lock = asyncio.Lock()

    async def load(self, topic: str, partition: int, end: int) -> Loaded:
        """Fold a partition of a state topic (bare name) from its beginning up to `end`, exclusive.

        A row that cannot be used is named at the end, for a reset after it makes it forgotten.
        """
        loaded = Loaded()

        def take(record: ConsumerRecord) -> None:
            try:
                loaded.take(record)
            except (ValueError, msgspec.MsgspecError) as exc:
                loaded.damage = loaded.damage or corrupt(topic, partition, record.offset, exc)

        await self.read(topic, partition, None, end, take)
        if loaded.damage is not None:
            raise loaded.damage
        return loaded

    async def read(
        self, topic: str, partition: int, start: int | None, end: int, take: Callable[[ConsumerRecord], None]
    ) -> None:
        """Pass the records from `start` (None: the first that there is) up to `end`, exclusive, to `take`.

        It never hangs: without progress for the deadline it raises, naming the place. A record that `take` refuses
        raises, naming its offset.
        """
        limit_s = self._timing.load_timeout_s
        tp = TopicPartition(self._settings.topic(topic), partition)
        position = start
        async with self._lock:
            try:
                async with asyncio.timeout(limit_s):
                    consumer = await self._started()
                    consumer.assign([tp])
                    if start is None:
                        await consumer.seek_to_beginning(tp)
                    else:
                        consumer.seek(tp, start)
                    position = await consumer.position(tp)
                while position < end:
                    await failpoints.reach("loading")
                    async with asyncio.timeout(limit_s):
                        before, records = position, []
                        while position == before:
                            records = (await consumer.getmany(tp, timeout_ms=500)).get(tp, [])
                            position = await consumer.position(tp)  # may move without records, over compacted ones
                    for record in records:
                        if record.offset >= end:
                            break
                        try:
                            take(record)
                        except (ValueError, msgspec.MsgspecError) as exc:
                            raise corrupt(topic, partition, record.offset, exc) from exc
            except TimeoutError as exc:
                raise StateError(
                    f"{topic}[{partition}]: nothing to be read at offset {position} for {limit_s:g} s, and its rows go "
                    f"on to {end - 1}: is the broker reachable?"
                ) from exc

    async def _started(self) -> AIOKafkaConsumer:
        if self._consumer is None:
            consumer = make_consumer(
                self._settings,
                request_timeout_ms=int(self._timing.request_timeout_s * 1000),
                enable_auto_commit=False,
                auto_offset_reset="earliest",
                max_partition_fetch_bytes=4 << 20,
                fetch_max_wait_ms=50,
                check_crcs=True,
            )
            await consumer.start()
            self._consumer = consumer
        return self._consumer

    async def close(self) -> None:
        """Close the client."""
        if self._consumer is not None:
            consumer, self._consumer = self._consumer, None
            await stop_consumer(consumer)
