"""The clock: once a second it says in the log how far event time has come, among the events that users write.

It appends a `Ticked` to every partition of the users' topics. Event time never goes back, whatever the machine's clock
does, and not after a restart: what the log says already is the least that is said next.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence

import msgspec
from aiokafka import AIOKafkaProducer, ConsumerRecord
from aiokafka.errors import KafkaError
from aiokafka.structs import TopicPartition

from adapters.clock import each_second
from adapters.errors import DependencyUnavailable
from adapters.kafka.log_reader import LogReader, log_reader
from adapters.kafka.settings import KafkaSettings
from evenhand.codec import decoder
from evenhand.envelope import NEVER
from evenhand.events import Ticked
from evenhand.processors.entry import tick_row
from evenhand.topics import TOPICS

SOURCE = "clock"
TICKED = tuple(name for name, topic in TOPICS.items() if SOURCE in topic.written_by)
_LOOK_BACK, _LOOK_FARTHER = 200, 8  # records of a partition, and how many times as many when they hold no tick
_SEND_S, _GIVE_UP_S = 10.0, 60.0
log = logging.getLogger(__name__)


async def run_clock(settings: KafkaSettings, told: Callable[[int], None] = lambda _: None) -> None:
    """Tick for ever; `told` hears of each tick that stands in all partitions. Raises if the broker takes none."""
    async with log_reader(settings) as reader:
        places = await reader.places(*TICKED)
        last = await last_tick(reader, places)
    producer = AIOKafkaProducer(**settings.client_kwargs(), acks="all", enable_idempotence=settings.idempotence)
    await producer.start()
    loop = asyncio.get_running_loop()
    acked_at = loop.time()
    try:
        async for reached in each_second():
            if reached < last:
                log.warning("this machine's clock is %d ms behind the log: event time stands still", last - reached)
            last = max(last, reached)
            try:
                async with asyncio.timeout(_SEND_S):
                    await _append(producer, places, last)
            except (KafkaError, TimeoutError) as error:
                log.warning("tick %d is not in all partitions: %r", last, error)
                if loop.time() - acked_at > _GIVE_UP_S:
                    raise DependencyUnavailable(
                        f"the broker at {settings.bootstrap_servers} has taken no tick for {_GIVE_UP_S:g} s: {error!r}"
                    ) from error
            else:
                acked_at = loop.time()
                told(last)
    finally:
        await producer.stop()


async def last_tick(reader: LogReader, places: Sequence[TopicPartition]) -> int:
    """The greatest tick in the log; NEVER if there is none."""
    begins, count = await reader.beginnings(places), _LOOK_BACK
    found, left = NEVER, list(places)
    while left:
        records = await reader.last(left, count)
        for place in list(left):
            ticks = [tick for record in records[place] if (tick := _tick(record)) is not None]
            found = max([found, *ticks])
            if ticks or not records[place] or records[place][0].offset <= begins[place]:
                left.remove(place)
        count *= _LOOK_FARTHER
    return found


def _tick(record: ConsumerRecord) -> int | None:
    if b"Ticked" not in (record.value or b""):
        return None
    try:
        return decoder(Ticked).decode(record.value).time
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


async def _append(producer: AIOKafkaProducer, places: Sequence[TopicPartition], time_ms: int) -> None:
    row = tick_row(SOURCE, time_ms)
    sent = [
        await producer.send(place.topic, row.value, key=row.key, partition=place.partition, headers=row.headers)
        for place in places
    ]
    await asyncio.gather(*sent)
