"""Tells channels of alerts: one reader of `notifications.v1` a channel, so that a slow or dead one delays no other.

Each has its own committed offsets (`PREFIXevenhand-notifier-CHANNEL`) and takes its partitions without a group's
rounds, so one notifier runs for a loop. An offset is committed when everything before it was delivered or has become a
dead letter: a notifier that was killed delivers some alerts again, with the same id, and loses none.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord
from aiokafka.structs import TopicPartition

from adapters.clock import now_ms
from adapters.kafka.closing import stop_consumer
from adapters.kafka.connection import check_connection
from adapters.kafka.gapless import make_consumer
from adapters.kafka.log_reader import LogReader
from adapters.kafka.settings import KafkaSettings
from adapters.notifiers.base import Channel
from adapters.notifiers.delivery import Delivery, deliver
from evenhand.codec import decode
from evenhand.errors import InvalidEvent
from evenhand.events import AlertRouted
from evenhand.processors.dead_letter import dead_letter
from evenhand.topics import DEAD_LETTERS, NOTIFICATIONS

AT_ONCE, UNCOMMITTED = 16, 512  # deliveries, and records that a kill would repeat at most
DEADLINE_S = 3600.0  # after an alert arrived, a channel is given up on; what is older has a single try
FIRST_LOOK_BACK_MS = 3_600_000  # of a channel that is new
_COMMIT_S = 0.5
log = logging.getLogger(__name__)


def group(settings: KafkaSettings, channel: str) -> str:
    """Under which name a channel's offsets are committed."""
    return f"{settings.topic_prefix}evenhand-notifier-{channel}"


class _Partition:
    """What of a partition is under way, in order of offsets."""

    def __init__(self) -> None:
        self.open: dict[int, bool] = {}  # offset: whether it is done
        self.next: int | None = None  # what may be committed

    def done(self, offset: int) -> None:
        self.open[offset] = True
        while self.open and self.open[first := next(iter(self.open))]:
            del self.open[first]
            self.next = first + 1


class ChannelReader:
    """Delivers to one channel."""

    def __init__(
        self, settings: KafkaSettings, channel: Channel, told: Callable[[Delivery], None], deadline_s: float
    ) -> None:
        self._settings, self._channel, self._told, self._deadline_s = settings, channel, told, deadline_s
        self._partitions: dict[TopicPartition, _Partition] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._last: dict[str, asyncio.Task[None]] = {}  # of each incident: alerts of one are told in order

    async def run(self, producer: AIOKafkaProducer) -> None:
        """Read and deliver for ever."""
        options: dict[str, Any] = {
            "enable_auto_commit": False, "auto_offset_reset": "earliest", "fetch_max_wait_ms": 200,
        }  # fmt: skip
        consumer = make_consumer(self._settings, group_id=group(self._settings, self._channel.name), **options)
        await consumer.start()
        committing = asyncio.create_task(self._commit_for_ever(consumer))
        try:
            await self._seek(consumer)
            while True:
                room = UNCOMMITTED - sum(len(one.open) for one in self._partitions.values())
                if room <= 0:
                    await asyncio.wait([*self._tasks], return_when=asyncio.FIRST_COMPLETED)
                    self._raise_failures(committing)
                    continue
                for place, records in (await consumer.getmany(timeout_ms=200, max_records=room)).items():
                    for record in records:
                        self._begin(place, record, producer)
                self._raise_failures(committing)
        finally:
            committing.cancel()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(committing, *self._tasks, return_exceptions=True)
            with contextlib.suppress(Exception):
                await self._commit(consumer)
            await stop_consumer(consumer)

    async def _seek(self, consumer: AIOKafkaConsumer) -> None:
        reader = LogReader(self._settings, consumer)
        places = await reader.places(NOTIFICATIONS)
        new = [place for place in places if await _committed(consumer, place) is None]
        start = await reader.at_time(new, now_ms() - FIRST_LOOK_BACK_MS) if new else {}
        consumer.unsubscribe()
        consumer.assign(places)
        for place in places:
            self._partitions[place] = _Partition()
            consumer.seek(place, start[place] if place in start else await _committed(consumer, place) or 0)

    def _begin(self, place: TopicPartition, record: ConsumerRecord, producer: AIOKafkaProducer) -> None:
        held = self._partitions[place]
        held.open[record.offset] = False
        try:
            alert: AlertRouted = decode(NOTIFICATIONS, record.value)
        except InvalidEvent as error:
            log.warning("%s[%d]@%d is no alert: %s", place.topic, place.partition, record.offset, error)
            held.done(record.offset)
            return
        if self._channel.name not in alert.channels:
            held.done(record.offset)
            return
        task = asyncio.create_task(self._deliver(held, record, alert, self._last.get(alert.incident), producer))
        self._last[alert.incident] = task
        self._tasks.add(task)

    async def _deliver(
        self, held: _Partition, record: ConsumerRecord, alert: AlertRouted, before: "asyncio.Task[None] | None",
        producer: AIOKafkaProducer,
    ) -> None:  # fmt: skip
        if before is not None:
            await asyncio.wait([before])
        async with self._slots:
            left_s = max(0.0, self._deadline_s - (now_ms() - record.timestamp) / 1000)
            ended = await deliver(self._channel, alert, deadline_s=left_s, sleep=self._wait)
        if not ended.delivered:
            log.warning("alert %s was not delivered: %s", alert.id, ended.reason)
            reason = f"{ended.channel}: not delivered after {ended.tries} tries: {ended.reason}"
            row = dead_letter(NOTIFICATIONS, record.partition, record, reason)
            topic = self._settings.topic(DEAD_LETTERS)
            await producer.send_and_wait(
                topic, row.value, key=row.key, partition=record.partition, headers=row.headers
            )  # fmt: skip
        held.done(record.offset)
        self._told(ended)

    async def _wait(self, seconds: float) -> None:
        """Let others try meanwhile."""
        self._slots.release()
        try:
            await asyncio.sleep(seconds)
        finally:
            await self._slots.acquire()

    def _raise_failures(self, committing: "asyncio.Task[None]") -> None:
        for task in [task for task in (*self._tasks, committing) if task.done()]:
            task.result()
            self._tasks.discard(task)
        self._last = {incident: task for incident, task in self._last.items() if not task.done()}

    async def _commit_for_ever(self, consumer: AIOKafkaConsumer) -> None:
        while True:
            await asyncio.sleep(_COMMIT_S)
            await self._commit(consumer)

    async def _commit(self, consumer: AIOKafkaConsumer) -> None:
        ready = {place: held.next for place, held in self._partitions.items() if held.next is not None}
        if ready:
            await consumer.commit(ready)
            for place, offset in ready.items():
                if self._partitions[place].next == offset:
                    self._partitions[place].next = None


async def _committed(consumer: AIOKafkaConsumer, place: TopicPartition) -> int | None:
    found: int | None = await consumer.committed(place)
    return found


async def notify(
    settings: KafkaSettings,
    channels: dict[str, Channel],
    told: Callable[[Delivery], None] = lambda _: None,
    deadline_s: float = DEADLINE_S,
) -> None:
    """Deliver to all channels, for ever. Raises when the broker is gone."""
    await check_connection(settings)
    producer = AIOKafkaProducer(**settings.client_kwargs(), acks="all", enable_idempotence=settings.idempotence)
    await producer.start()
    try:
        async with asyncio.TaskGroup() as group_:
            for channel in channels.values():
                group_.create_task(ChannelReader(settings, channel, told, deadline_s).run(producer), name=channel.name)
    finally:
        await producer.stop()
