"""A consumer that passes over no record, on brokers that may show a later one first.

Where several producers write one partition at once, such a broker gives offsets in order, but shows each record when it
is stored: a fetch in between returns the later record without the earlier. The client then goes on behind it, and the
earlier record is lost without a trace. On Apache Kafka a missing offset is compaction or a marker: nothing is missing.
"""

from __future__ import annotations

import logging
import time
from collections import OrderedDict
from collections.abc import Iterator
from typing import Any

from aiokafka import AIOKafkaConsumer, ConsumerRecord
from aiokafka.structs import TopicPartition

from adapters.kafka.settings import KafkaSettings

PATIENCE_S = 10.0  # an offset that stays empty for so long was given to a producer that failed
log = logging.getLogger(__name__)


def make_consumer(settings: KafkaSettings, *, bare: bool = False, **options: Any) -> AIOKafkaConsumer:
    """A consumer for this broker. `options` go to the client.

    A `bare` one gives out the records of the client's parser, which know offset, timestamp, key, value and headers:
    a ConsumerRecord around each, with the partition once more, takes longer to make than all of the parsing.
    """
    gapless = settings.capabilities.gapless_fetch
    if gapless and not bare:
        return AIOKafkaConsumer(**settings.client_kwargs(), **options)
    return _Consumer(not gapless, bare, **settings.client_kwargs(), **options)


class _Consumer(AIOKafkaConsumer):  # type: ignore[misc]  # aiokafka has no types
    """Ends what a fetch returned before the first missing offset, if it has to wait for it, and fetches that again."""

    def __init__(self, waits: bool, bare: bool, **options: Any) -> None:  # noqa: FBT001  given by make_consumer
        super().__init__(**options)
        self._waits, self._bare = waits, bare

    async def start(self) -> None:
        """Start, and look into every fetch from here on."""
        await super().start()
        self._fetcher._records = _Fetched(self._waits, self._bare)  # noqa: SLF001  the client has no other place


class _Fetched(OrderedDict[TopicPartition, Any]):
    """What the client has fetched and not given out yet."""

    def __init__(self, waits: bool, bare: bool) -> None:  # noqa: FBT001  given by make_consumer
        super().__init__()
        self.waiting: dict[TopicPartition, tuple[int, float]] = {}  # an empty offset, and when it was first seen
        self._waits, self._bare = waits, bare

    def __setitem__(self, tp: TopicPartition, result: Any) -> None:
        records = getattr(result, "_partition_records", None)
        if records is not None and self._bare:
            records._consumer_record = _as_parsed  # noqa: SLF001  made when it is first asked for a record
        if records is not None and self._waits:
            result._partition_records = _Gapless(tp, records, self.waiting)  # noqa: SLF001
        super().__setitem__(tp, result)


def _as_parsed(_: TopicPartition, record: Any) -> Any:
    return record


class _Gapless:
    """The records of one fetch of a partition, up to the first missing offset."""

    def __init__(self, tp: TopicPartition, records: Any, waiting: dict[TopicPartition, tuple[int, float]]) -> None:
        self._tp, self._records, self._waiting = tp, records, waiting
        self.next_fetch_offset: int = records.next_fetch_offset

    def __iter__(self) -> Iterator[ConsumerRecord]:
        return self

    def __next__(self) -> ConsumerRecord:
        if self._records is None:
            raise StopIteration
        record = next(self._records, None)
        if record is None or (record.offset > self.next_fetch_offset and self._waits()):
            self._records = None
            raise StopIteration
        self._waiting.pop(self._tp, None)
        self.next_fetch_offset = record.offset + 1
        return record

    def _waits(self) -> bool:
        missing, now = self.next_fetch_offset, time.monotonic()
        offset, since = self._waiting.setdefault(self._tp, (missing, now))
        if offset != missing:
            self._waiting[self._tp] = missing, now
            return True
        if now - since < PATIENCE_S:
            return True
        log.error("%s[%d]: nothing came at offset %d for %g s", self._tp.topic, self._tp.partition, missing, PATIENCE_S)
        return False
