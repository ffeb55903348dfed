"""Workers that would stand still, or start wrongly, end themselves and say why."""

import asyncio
import functools
import os
import re
import signal
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer

from adapters.errors import DependencyUnavailable
from adapters.kafka.ending import FAILED, NOT_CONSUMING
from adapters.kafka.rebuild import WorkersRun, rebuild_state
from adapters.kafka.settings import KafkaSettings
from adapters.kafka.topics import admin
from evenhand import topics as t
from tests.integration.kafka.cluster import Cluster, Observer, cluster, produce_pairs

pytestmark = [pytest.mark.faults, pytest.mark.timeout(120)]
RIGHT = {"missing": 0, "unknown": 0, "torn": 0, "missed by the slow reader": 0}


async def test_a_failing_batch_ends_the_process_and_comes_again(settings: KafkaSettings, var: Path) -> None:
    async with cluster(settings, var) as running, Observer(settings) as observer:
        failing = running.start(EVENHAND_FAILPOINT="after_decode@attribution:2:raise")
        expected = await produce_pairs(settings, 500)
        assert await failing.ended(60) == FAILED
        assert "<batch of attribution:" in failing.text
        assert await observer.complete(expected, running) == RIGHT, running.logs()


async def test_a_worker_that_lags_and_does_not_commit_ends_itself(settings: KafkaSettings, var: Path) -> None:
    async with cluster(settings, var) as running:
        stuck = running.start(EVENHAND_FAILPOINT="after_decode:1:sleep:600", EVENHAND_STALL_TIMEOUT_S="8")
        await produce_pairs(settings, 200)
        assert await stuck.ended(60) == NOT_CONSUMING
        assert "behind, and without a commit for 8 s" in stuck.text
        assert "Stack for <Task" in stuck.text


async def test_a_missing_topic_is_named_at_the_start(settings: KafkaSettings, var: Path) -> None:
    running = Cluster(settings, var)
    try:
        assert await running.start().ended(60) != 0
        # A broker that creates what it is asked about gives it another number of partitions.
        assert re.search(f"topic {settings.topic(t.ASSIGNMENTS)} (does not exist|has 4 partitions)", running.logs())
    finally:
        running.stop()


async def put_row(settings: KafkaSettings, agent: str) -> None:
    """A row without an owner in every partition of a state."""
    producer = AIOKafkaProducer(**settings.client_kwargs())
    await producer.start()
    topic = settings.topic(t.state_topic(agent).name)
    for partition in range(settings.partitions):
        await producer.send_and_wait(topic, key=b"a row", value=b"that no owner wrote", partition=partition)
    await producer.stop()


async def test_a_damaged_state_is_named(settings: KafkaSettings, var: Path) -> None:
    async with cluster(settings, var) as running:
        await put_row(settings, "attribution")
        damaged = running.start()
        await produce_pairs(settings, 100)
        assert await damaged.ended(60) == FAILED
        assert "the row at offset 0 cannot be used: ValueError: a row without the header" in damaged.text


@pytest.mark.kafka
@pytest.mark.skipif("KAFKA_HOME" not in os.environ, reason="KAFKA_HOME is not set: the embedded broker keeps members")
async def test_a_damaged_state_is_built_again(settings: KafkaSettings, var: Path) -> None:
    rebuild = functools.partial(
        rebuild_state, settings, group=settings.topic_prefix + "probe", agent="attribution",
        reads=(t.ASSIGNMENTS, t.OBSERVATIONS),
    )  # fmt: skip
    async with cluster(settings, var) as running, Observer(settings) as observer:
        worker = running.start()
        expected = await produce_pairs(settings, 400, seed=1)
        assert await observer.complete(expected, running) == RIGHT
        with pytest.raises(WorkersRun, match="stop all workers"):
            await rebuild()
        worker.kill(signal.SIGTERM)
        assert await worker.ended(15) == 0
        running.workers.clear()
        await put_row(settings, "attribution")
        expected |= await produce_pairs(settings, 400, seed=2)
        await rebuild()
        running.start()
        assert await observer.complete(expected, running) == RIGHT, running.logs()
        assert observer.outcome.records > len(expected), "the first pairs came again, with the same bytes"


async def members(settings: KafkaSettings, group: str) -> tuple[str, int]:
    """The state of a group, and how many members it knows."""
    try:
        async with admin(settings) as client:
            described = (await client.describe_consumer_groups([group]))[0].groups[0]
    except DependencyUnavailable:  # the first group of a broker takes it a while
        return "", 0
    return described[2], len(described[5])


@pytest.mark.kafka
@pytest.mark.skipif("KAFKA_HOME" not in os.environ, reason="KAFKA_HOME is not set: the embedded one waits for nobody")
async def test_a_worker_stops_while_its_group_waits_for_another(settings: KafkaSettings, var: Path) -> None:
    patient = {"EVENHAND_SESSION_TIMEOUT_S": "28", "EVENHAND_REBALANCE_TIMEOUT_S": "30"}
    group = settings.topic_prefix + "probe"
    async with cluster(settings, var) as running:
        frozen = running.start(**patient)
        async with asyncio.timeout(60):
            while await members(settings, group) != ("Stable", 1):
                await asyncio.sleep(0.1)
            frozen.kill(signal.SIGSTOP)
            joining = running.start(**patient)
            while await members(settings, group) != ("PreparingRebalance", 2):
                await asyncio.sleep(0.1)
        joining.kill(signal.SIGTERM)
        assert await joining.ended(15) == 0, joining.text
        assert (await members(settings, group))[1] == 1, "it has left"
