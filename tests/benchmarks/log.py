"""What the harness itself does with Kafka: topics of a run, filling them, watching their ends, reading them back."""

import asyncio
from collections.abc import Iterable
from typing import NamedTuple, Self

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from adapters.kafka.settings import KafkaSettings
from adapters.kafka.topics import ensure_topics
from evenhand.topics import PARTITIONS, Topic
from tests.benchmarks.workload import Rows

BATCH_BYTES = 900_000


class Seen(NamedTuple):
    """A record as the harness reads it: when the broker appended it, and where."""

    appended_ms: int
    partition: int
    key: bytes | None
    value: bytes | None


async def create(bootstrap: str, prefix: str, topics: Iterable[Topic]) -> None:
    """Topics of a run, as evenhand has them: records carry the time at which the broker appended them."""
    await ensure_topics(KafkaSettings(bootstrap_servers=bootstrap, topic_prefix=prefix), topics)


async def delete(bootstrap: str, prefix: str) -> None:
    """Everything of a run, so that one run leaves no work for the next."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        await admin.delete_topics([name for name in await admin.list_topics() if prefix in name])
    finally:
        await admin.close()


async def fill(bootstrap: str, topic: str, partitions: list[Rows]) -> None:
    """Write records, each on its partition, in order."""
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, enable_idempotence=True, max_batch_size=BATCH_BYTES)
    await producer.start()
    try:
        await asyncio.gather(*(_fill(producer, topic, number, rows) for number, rows in enumerate(partitions)))
    finally:
        await producer.stop()


async def _fill(producer: AIOKafkaProducer, topic: str, partition: int, rows: Rows) -> None:
    builder = producer.create_batch()
    for key, value in rows:
        if builder.append(key=key, value=value, timestamp=None) is None:
            await (await producer.send_batch(builder, topic, partition=partition))
            builder = producer.create_batch()
            builder.append(key=key, value=value, timestamp=None)
    await (await producer.send_batch(builder, topic, partition=partition))


class Watch:
    """Knows how long topics are, without reading them."""

    def __init__(self, bootstrap: str, topics: Iterable[str]) -> None:
        self.consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, enable_auto_commit=False)
        self.topics = list(topics)

    async def __aenter__(self) -> Self:
        await self.consumer.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.consumer.stop()

    async def lengths(self) -> dict[str, int]:
        """Records in each topic (none is ever removed during a run)."""
        places = [TopicPartition(topic, number) for topic in self.topics for number in range(PARTITIONS)]
        ends = await self.consumer.end_offsets(places)
        return {topic: sum(end for place, end in ends.items() if place.topic == topic) for topic in self.topics}

    async def read(self, topic: str) -> list[Seen]:
        """Everything in a topic, each partition in order."""
        places = [TopicPartition(topic, number) for number in range(PARTITIONS)]
        ends = await self.consumer.end_offsets(places)
        self.consumer.assign(places)
        await self.consumer.seek_to_beginning(*places)
        seen: list[Seen] = []
        unread = {place for place in places if ends[place]}
        while unread:
            for place, records in (await self.consumer.getmany(timeout_ms=1000, max_records=20_000)).items():
                seen.extend(Seen(r.timestamp, place.partition, r.key, r.value) for r in records)
            unread = {place for place in unread if await self.consumer.position(place) < ends[place]}
        return seen
