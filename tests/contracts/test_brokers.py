"""What every broker must do, and that each can do exactly what it declares.

Runs on the embedded broker, and on Apache Kafka where KAFKA_HOME is set.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import fields
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.client import ConnectionGroup
from aiokafka.errors import IllegalGenerationError, UnknownMemberIdError
from aiokafka.protocol.commit import OffsetCommitRequest
from aiokafka.structs import ConsumerRecord, OffsetAndMetadata

from adapters import processes
from adapters.kafka.broker import Broker, Kind, start_broker
from adapters.kafka.capabilities import EMBEDDED, EVERYTHING, Capabilities, probe
from adapters.kafka.closing import stop_consumer
from adapters.kafka.gapless import make_consumer
from adapters.kafka.settings import KafkaSettings
from tests.contracts.broker_measures import (
    KINDS,
    MEASURES,
    OLD_MS,
    consumer,
    make_topic,
    missed,
    producer,
    read,
    write_batch,
)

pytestmark = pytest.mark.timeout(90)

SESSION_MS = 6000
MEMBER = """
import asyncio, sys
from aiokafka import AIOKafkaConsumer
async def main(bootstrap, topic, group):
    client = AIOKafkaConsumer(
        topic, bootstrap_servers=bootstrap, group_id=group, session_timeout_ms=6000, heartbeat_interval_ms=500,
    )
    await client.start()
    while not client.assignment():
        await asyncio.sleep(0.05)
    print("member", flush=True)
    await asyncio.sleep(600)
asyncio.run(main(*sys.argv[1:]))
"""


@pytest.fixture(scope="module", params=KINDS)
def some_broker(
    request: pytest.FixtureRequest, broker: Broker, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Broker]:
    """Each kind of broker in turn, the session's own where it is of that kind."""
    kind: Kind = request.param
    if broker.name == kind:
        yield broker
        return
    started = start_broker(tmp_path_factory.mktemp("contract"), kind=kind)
    yield started
    started.stop()


@pytest.fixture
def here(some_broker: Broker, settings: KafkaSettings) -> KafkaSettings:
    """Settings for it, with a topic prefix of the test's own."""
    return KafkaSettings(
        bootstrap_servers=some_broker.bootstrap,
        topic_prefix=settings.topic_prefix,
        known_capabilities=some_broker.capabilities,
    )


@pytest.mark.parametrize("capability", sorted(MEASURES))
async def test_it_can_do_what_it_declares_and_no_more(here: KafkaSettings, capability: str) -> None:
    """A capability that appears in a new version is to be declared, one that is gone is a fault."""
    declared: bool = getattr(here.capabilities, capability)
    measured = await MEASURES[capability](here)
    if capability == "gapless_fetch" and not declared:
        return  # a race that need not be lost every time: without it, our own consumer is what must hold (below)
    assert measured is declared


async def test_our_consumer_passes_over_nothing_on_any_broker(here: KafkaSettings) -> None:
    assert await missed(here, make_consumer(here, auto_offset_reset="earliest"), 12_000) == 0


async def test_bare_records_are_the_records(here: KafkaSettings) -> None:
    """What a worker reads, beside what the client would have made of it."""
    topic = await make_topic(here, "bare")
    place = TopicPartition(topic, 0)
    async with producer(here) as client:
        for i in range(20):
            key, value = (None if i % 3 == 0 else b"%d" % i), (None if i % 3 == 1 else b"value %d" % i)
            await client.send_and_wait(topic, value, key=key, partition=0, headers=[("n", b"%d" % i)] * (i % 3))
    seen: list[list[tuple[object, ...]]] = []
    for bare in (False, True):
        one = make_consumer(here, bare=bare, auto_offset_reset="earliest")
        await one.start()
        one.assign([place])
        records: list[tuple[object, ...]] = []
        async with asyncio.timeout(30):
            while len(records) < 20:
                fetched = (await one.getmany(timeout_ms=200)).get(place, ())
                records += [(r.offset, r.timestamp, r.timestamp_type, r.key, r.value, [*r.headers]) for r in fetched]
        await stop_consumer(one)
        seen.append(records)
    assert seen[0] == seen[1]


def test_each_capability_is_measured() -> None:
    """`durable` has a test of its own: it takes a restart."""
    assert {field.name for field in fields(Capabilities)} == {*MEASURES, "durable"}


def test_the_documented_table_is_the_declared_one() -> None:
    text = (Path(__file__).parents[2] / "docs" / "adr" / "0003-brokers.md").read_text()
    rows = [[cell.strip() for cell in line.split("|")[1:4]] for line in text.splitlines() if line.startswith("| `")]
    assert {name.strip("`"): (kafka == "yes", embedded == "yes") for name, kafka, embedded in rows} == {
        field.name: (getattr(EVERYTHING, field.name), getattr(EMBEDDED, field.name)) for field in fields(Capabilities)
    }


def test_a_probe_finds_what_is_declared(some_broker: Broker) -> None:
    """Whoever gets only an address comes to the same result, but for what no question over the wire can tell."""
    assert probe(some_broker.bootstrap) == some_broker.capabilities


async def test_records_come_back_as_they_were(here: KafkaSettings) -> None:
    """Key, value, headers (repeated and empty ones too) and, where records keep it, time."""
    topic = await make_topic(here, "records", {"message.timestamp.type": "CreateTime"})
    headers = [("ce_id", b"1"), ("ce_id", b"2"), ("empty", b""), ("bytes", bytes(range(256)))]
    async with producer(here) as client:
        await client.send_and_wait(topic, b"v", key=b"k", partition=0, headers=headers, timestamp_ms=OLD_MS)
        await client.send_and_wait(topic, None, key=b"k", partition=0)
        await client.send_and_wait(topic, b"", key=None, partition=0)
    first, second, third = await read(here, topic)
    assert (first.key, first.value, list(first.headers), first.timestamp) == (b"k", b"v", headers, OLD_MS)
    assert (second.key, second.value) == (b"k", None)
    assert (third.key, third.value) == (None, b"")


@pytest.mark.parametrize("codec", [None, "gzip", "lz4", "zstd", "snappy"])
async def test_compressed_batches_are_read(here: KafkaSettings, codec: str | None) -> None:
    """Users compress as their client likes."""
    topic = await make_topic(here, "compressed")
    values = [b"%d" % number * 20 for number in range(50)]
    async with producer(here, compression_type=codec) as client:
        assert await write_batch(client, topic, values) == 0
    assert [record.value for record in await read(here, topic)] == values


async def test_offsets_are_dense_and_in_order(here: KafkaSettings) -> None:
    """Batches of several writers, many at once: each offset once, each batch in one piece."""
    topic = await make_topic(here, "dense")
    async with producer(here) as one, producer(here) as two:
        await asyncio.gather(
            *(write_batch(client, topic, [b"%d-%d" % (number, row) for row in range(5)])
              for number in range(20) for client in (one, two))
        )  # fmt: skip
    found = await read(here, topic)
    assert [record.offset for record in found] == list(range(200))
    for start in range(0, 200, 5):
        number = found[start].value.split(b"-")[0]
        assert [record.value for record in found[start : start + 5]] == [b"%s-%d" % (number, row) for row in range(5)]


async def test_the_high_watermark_of_a_fetch_is_the_end(here: KafkaSettings) -> None:
    """Right on every broker, which the latest offset is not."""
    topic = await make_topic(here, "watermark")
    async with producer(here) as client:
        await write_batch(client, topic, [b"1"])
        await write_batch(client, topic, [b"2", b"3", b"4"])
    place = TopicPartition(topic, 0)
    async with consumer(here) as client:
        client.assign([place])
        seen = 0
        while seen < 4:
            seen += sum(map(len, (await client.getmany(timeout_ms=1000)).values()))
        assert client.highwater(place) == 4


async def test_a_group_goes_on_where_it_committed(here: KafkaSettings) -> None:
    """Committed offsets are read back by the next member, metadata included."""
    topic = await make_topic(here, "committed", partitions=2)
    place, group = TopicPartition(topic, 0), here.topic("group")
    async with producer(here) as client:
        await write_batch(client, topic, [b"1", b"2", b"3"])
    common = {"group_id": group, "enable_auto_commit": False, "session_timeout_ms": SESSION_MS}
    async with consumer(here, topic, **common) as client:
        assert [record.value for record in await _take(client, 3)] == [b"1", b"2", b"3"]
        await client.commit({place: OffsetAndMetadata(2, "note")})
    async with consumer(here, topic, **common) as client:
        assert [record.value for record in await _take(client, 1)] == [b"3"]
        assert await client.committed(place) == 2
        assert await client.committed(TopicPartition(topic, 1)) is None


async def test_members_share_the_partitions(here: KafkaSettings) -> None:
    """Two members have all partitions and none twice; a past generation commits nothing; who stays gets all."""
    topic = await make_topic(here, "shared", partitions=4)
    every = {TopicPartition(topic, number) for number in range(4)}
    common = {"group_id": here.topic("group"), "session_timeout_ms": SESSION_MS, "heartbeat_interval_ms": 300}
    async with consumer(here, topic, **common) as one:
        await _until(lambda: one.assignment() == every)
        async with consumer(here, topic, **common) as two:
            await _until(lambda: len(one.assignment()) == 2 == len(two.assignment()))
            assert one.assignment() | two.assignment() == every
            assert await _commit(one, generation=0) == 0
            assert await _commit(one, generation=-1) in {IllegalGenerationError.errno, UnknownMemberIdError.errno}
        await _until(lambda: one.assignment() == every)


async def test_a_dead_members_partitions_go_to_the_others(here: KafkaSettings, tmp_path: Path) -> None:
    """A member that is killed says nothing; its partitions are given away when its session has run out."""
    topic, group = await make_topic(here, "death", partitions=2), here.topic("group")
    log = tmp_path / "member.log"
    child = processes.start("a member", [sys.executable, "-c", MEMBER, here.bootstrap_servers, topic, group], log=log)
    await _until(lambda: "member" in log.read_text(), 30)
    os.kill(child.pid, signal.SIGKILL)
    child.wait(5)
    async with consumer(
        here, topic, group_id=group, session_timeout_ms=SESSION_MS, heartbeat_interval_ms=300
    ) as survivor:
        await _until(lambda: len(survivor.assignment()) == 2, 4 * SESSION_MS / 1000)


async def _commit(member: AIOKafkaConsumer, *, generation: int) -> int:
    """Commit for a member as if its generation were so much greater, and return the error code."""
    coordinator = member._coordinator
    place = min(member.assignment())
    answer = await member._client.send(
        coordinator.coordinator_id,
        OffsetCommitRequest(
            coordinator.group_id,
            coordinator.generation + generation,
            coordinator.member_id,
            OffsetCommitRequest.DEFAULT_RETENTION_TIME,
            [(place.topic, [(place.partition, 0, "")])],
        ),
        group=ConnectionGroup.COORDINATION,
    )
    ((_, ((_, code),)),) = answer.topics
    return int(code)


async def _take(client: AIOKafkaConsumer, count: int) -> list[ConsumerRecord]:
    found: list[ConsumerRecord] = []
    async with asyncio.timeout(40):
        while len(found) < count:
            for records in (await client.getmany(timeout_ms=500)).values():
                found += records
    return found


async def _until(condition: Callable[[], bool], within_s: float = 40.0) -> None:
    async with asyncio.timeout(within_s):
        while not condition():
            await asyncio.sleep(0.05)
