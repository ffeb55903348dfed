"""Experiments on a running broker, one per capability: each gives True if the broker did what the capability says."""

import asyncio
import contextlib
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import NewTopic, RecordsToDelete
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaError
from aiokafka.protocol.produce import ProduceRequest
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.structs import ConsumerRecord

from adapters.kafka.settings import KafkaSettings
from adapters.kafka.topics import admin, read_configurations

KINDS = [
    "embedded",
    pytest.param(
        "kafka",
        marks=[
            pytest.mark.kafka,
            pytest.mark.skipif("KAFKA_HOME" not in os.environ, reason="KAFKA_HOME is not set"),
        ],
    ),
]
DEADLINE_S = 20.0
OLD_MS = 1_000_000_000_000

Measure = Callable[[KafkaSettings], Awaitable[bool]]


async def make_topic(
    settings: KafkaSettings, name: str, configs: Mapping[str, str] | None = None, *, partitions: int = 1
) -> str:
    """Create a topic and return its full name."""
    full = settings.topic(name)
    async with admin(settings) as client:
        answer = await client.create_topics([NewTopic(full, partitions, 1, topic_configs=dict(configs or {}))])
        assert [row[1] for row in answer.topic_errors] == [0], answer
    return full


@contextlib.asynccontextmanager
async def producer(settings: KafkaSettings, **more: object) -> AsyncIterator[AIOKafkaProducer]:
    """A producer that is stopped afterwards."""
    client = AIOKafkaProducer(**settings.client_kwargs(), **{"acks": "all", **more})
    try:
        await client.start()
        yield client
    finally:
        await client.stop()


@contextlib.asynccontextmanager
async def consumer(settings: KafkaSettings, *topics: str, **more: object) -> AsyncIterator[AIOKafkaConsumer]:
    """A consumer without a group (unless one is given) that reads from the beginning."""
    client = AIOKafkaConsumer(*topics, **settings.client_kwargs(), **{"auto_offset_reset": "earliest", **more})
    try:
        await client.start()
        yield client
    finally:
        await client.stop()


async def write_batch(client: AIOKafkaProducer, topic: str, values: list[bytes], timestamp: int | None = None) -> int:
    """Write one record batch to partition 0 and return the offset of its first record."""
    batch = client.create_batch()
    for value in values:
        assert batch.append(key=value, value=value, timestamp=timestamp) is not None
    sent = await client.send_batch(batch, topic, partition=0)
    offset: int = (await sent).offset
    return offset


async def read(settings: KafkaSettings, topic: str, **more: object) -> list[ConsumerRecord]:
    """All that partition 0 holds, up to the high watermark of the fetch."""
    found: list[ConsumerRecord] = []
    place = TopicPartition(topic, 0)
    async with asyncio.timeout(DEADLINE_S), consumer(settings, **more) as client:
        client.assign([place])
        while True:
            for records in (await client.getmany(timeout_ms=200)).values():
                found += records
            end = client.highwater(place)
            if end is not None and await client.position(place) >= end:
                return found


async def idempotent_producer(settings: KafkaSettings) -> bool:
    """The same batch (producer, epoch, sequence) sent twice is in the log once."""
    topic = await make_topic(settings, "idempotent")
    try:
        async with asyncio.timeout(DEADLINE_S), producer(settings, enable_idempotence=True) as client:
            await client.send_and_wait(topic, b"first", partition=0)
            pid = client._txn_manager.producer_id
        for _ in range(2):
            await _send_raw(settings, topic, _batch(pid, epoch=0, sequence=1))
    except (KafkaError, TimeoutError):
        return False
    return [record.value for record in await read(settings, topic)] == [b"first", b"again"]


def _batch(pid: int, *, epoch: int, sequence: int) -> bytes:
    builder = DefaultRecordBatchBuilder(
        magic=2, compression_type=0, is_transactional=0, producer_id=pid, producer_epoch=epoch, base_sequence=sequence,
        batch_size=10_000,
    )  # fmt: skip
    builder.append(0, timestamp=int(time.time() * 1000), key=None, value=b"again", headers=[])
    return bytes(builder.build())


async def _send_raw(settings: KafkaSettings, topic: str, data: bytes) -> None:
    client = AIOKafkaClient(**settings.client_kwargs())
    await client.bootstrap()
    try:
        await client.add_topic(topic)
        node = next(iter(client.cluster.brokers())).nodeId
        await client.send(
            node,
            ProduceRequest(transactional_id=None, required_acks=-1, timeout=5000, topics=[(topic, [(0, data)])]),
        )
    finally:
        await client.close()


async def transactions(settings: KafkaSettings) -> bool:
    """A reader of committed records sees what a transaction committed and not what another one aborted."""
    topic = await make_topic(settings, "transactions")
    try:
        async with asyncio.timeout(DEADLINE_S), producer(settings, transactional_id=f"{topic}-t") as client:
            async with client.transaction():
                await client.send_and_wait(topic, b"kept", partition=0)
            with contextlib.suppress(ZeroDivisionError):
                async with client.transaction():
                    await client.send_and_wait(topic, b"dropped", partition=0)
                    raise ZeroDivisionError
    except (KafkaError, TimeoutError):
        return False
    found = await read(settings, topic, isolation_level="read_committed")
    return [record.value for record in found] == [b"kept"]


async def delete_records(settings: KafkaSettings) -> bool:
    """Records before an offset can be deleted, and the beginning moves there."""
    topic = await make_topic(settings, "deletion")
    async with producer(settings) as client:
        for value in (b"a", b"b", b"c"):
            await write_batch(client, topic, [value])
    place = TopicPartition(topic, 0)
    try:
        async with asyncio.timeout(DEADLINE_S), admin(settings) as client:
            await client.delete_records({place: RecordsToDelete(before_offset=2)})
        async with consumer(settings) as reader:
            begins = await reader.beginning_offsets([place])
    except Exception:  # noqa: BLE001 - a broker that cannot do it may answer anything
        return False
    return bool(begins[place] == 2) and [record.offset for record in await read(settings, topic)] == [2]


async def time_lookup(settings: KafkaSettings) -> bool:
    """A look-up by time gives the first record that is not older, inside a batch too, and none after the last."""
    topic = await make_topic(settings, "times", {"message.timestamp.type": "CreateTime"})
    now = int(time.time() * 1000)
    async with producer(settings) as client:
        for start in (now - 3000, now - 2000):
            batch = client.create_batch()
            for step in range(3):
                batch.append(key=None, value=b"x", timestamp=start + 100 * step)
            await (await client.send_batch(batch, topic, partition=0))
    place = TopicPartition(topic, 0)
    asked = {now - 9000: 0, now - 2850: 2, now - 2000: 3, now - 1950: 4, now: None}
    async with consumer(settings) as reader:
        for moment, offset in asked.items():
            try:
                found = (await reader.offsets_for_times({place: moment}))[place]
            except KafkaError:
                return False
            if (found.offset if found else None) != offset:
                return False
    return True


async def gapless_fetch(settings: KafkaSettings) -> bool:
    """Many records of four producers at once are read as they come: none is passed over by the plain client."""
    return await missed(settings, AIOKafkaConsumer(**settings.client_kwargs(), auto_offset_reset="earliest")) == 0


async def missed(settings: KafkaSettings, client: AIOKafkaConsumer, count: int = 40_000) -> int:
    """How many records a consumer passes over at once while producers write: acknowledged, or there afterwards."""
    topic = await make_topic(settings, f"gapless-{time.monotonic_ns()}")
    place, left, found = TopicPartition(topic, 0), iter(range(count)), asyncio.Event()
    acknowledged: set[int] = set()

    async def write() -> None:
        async with producer(settings) as one:
            for _ in left:
                if found.is_set():  # and not cancelled: it might be stopping already, and would leave its connection
                    return
                acknowledged.add((await one.send_and_wait(topic, bytes(200), partition=0)).offset)

    writers = [asyncio.create_task(write()) for _ in range(4)]
    expected = 0
    try:
        await client.start()
        client.assign([place])
        while expected < count:
            async with asyncio.timeout(DEADLINE_S):
                fetched = await client.getmany(timeout_ms=100)
            for record in fetched.get(place, ()):
                if record.offset != expected:
                    found.set()
                    await asyncio.gather(*writers)
                    gap = range(expected, record.offset)
                    return max(await _held(settings, place, gap), len(acknowledged.intersection(gap)))
                expected += 1
        return 0
    finally:
        found.set()
        await asyncio.gather(*writers, return_exceptions=True)
        await client.stop()


async def _held(settings: KafkaSettings, place: TopicPartition, gap: range) -> int:
    """How many records lie within: an offset may be nobody's, where a write failed."""
    async with asyncio.timeout(DEADLINE_S), consumer(settings) as client:
        client.assign([place])
        client.seek(place, gap.start)
        while not (records := (await client.getmany(timeout_ms=200)).get(place)):
            pass
        return sum(record.offset in gap for record in records)


async def end_offsets_exact(settings: KafkaSettings) -> bool:
    """The latest offset is that of the next record, whatever the size of the last batch."""
    topic = await make_topic(settings, "ends")
    async with producer(settings) as client:
        await write_batch(client, topic, [b"1"])
        await write_batch(client, topic, [b"2", b"3", b"4", b"5"])
    place = TopicPartition(topic, 0)
    async with consumer(settings) as reader:
        return bool((await reader.end_offsets([place]))[place] == 5)


async def topic_configs(settings: KafkaSettings) -> bool:
    """Settings given with a new topic can be read back."""
    given = {"retention.ms": "123456789", "message.timestamp.type": "LogAppendTime", "cleanup.policy": "delete"}
    topic = await make_topic(settings, "configs", given)
    async with admin(settings) as client:
        found = (await read_configurations(client, [topic])).get(topic, {})
    return given.items() <= found.items()


async def size_limit(settings: KafkaSettings) -> bool:
    """A batch over max.message.bytes is refused."""
    topic = await make_topic(settings, "sizes", {"max.message.bytes": "1000"})
    async with producer(settings) as client:
        try:
            await client.send_and_wait(topic, b"x" * 5000, partition=0)
        except KafkaError:
            return True
    return False


async def log_append_time(settings: KafkaSettings) -> bool:
    """The broker's clock stamps records, whatever their writer says."""
    topic = await make_topic(settings, "stamps", {"message.timestamp.type": "LogAppendTime"})
    async with producer(settings) as client:
        await write_batch(client, topic, [b"1", b"2"], timestamp=OLD_MS)
    found = await read(settings, topic)
    now = time.time() * 1000
    return all(abs(record.timestamp - now) < 60_000 and record.timestamp_type == 1 for record in found)


async def compaction(settings: KafkaSettings) -> bool:
    """Of several rows of a key in a compacted topic the old ones go away, and the offsets of the others stay."""
    configs = {"cleanup.policy": "compact", "segment.ms": "100", "min.cleanable.dirty.ratio": "0.01"}
    configs |= {"min.compaction.lag.ms": "0", "max.compaction.lag.ms": "200"}
    topic = await make_topic(settings, "compaction", configs)
    async with producer(settings) as client:
        for value in (b"old", b"older", b"new"):
            await client.send_and_wait(topic, value, key=b"k", partition=0)
            await asyncio.sleep(0.15)
        await client.send_and_wait(topic, b"opens a new segment", key=b"other", partition=0)
    give_up = time.monotonic() + (DEADLINE_S if settings.capabilities.compaction else 3.0)
    while time.monotonic() < give_up:
        found = [(record.offset, record.value) for record in await read(settings, topic)]
        if found == [(2, b"new"), (3, b"opens a new segment")]:
            return True
        await asyncio.sleep(0.2)
    return False


MEASURES: dict[str, Measure] = {
    measure.__name__: measure
    for measure in (
        idempotent_producer, transactions, delete_records, time_lookup, end_offsets_exact, gapless_fetch,
        topic_configs, size_limit, log_append_time, compaction,
    )
}  # fmt: skip
