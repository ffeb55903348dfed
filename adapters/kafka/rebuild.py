"""Builds the state of an agent again from its input topics, when its changelog is lost or damaged.

`rebuild_state` makes readers forget the agent's rows, and `rewind_group` makes the consumer group read its topics from
the beginning. The next worker then folds them anew: its state becomes what it was, and what it sends again has the
bytes and ids of the first time, so that readers drop it. Topics that were cut by retention give what is left of them.
"""

import asyncio
from collections.abc import Iterable

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.structs import OffsetAndMetadata, TopicPartition

from adapters.kafka.closing import stop_consumer
from adapters.kafka.rows import RESET
from adapters.kafka.settings import KafkaSettings
from adapters.kafka.topics import admin
from evenhand.errors import EvenhandError
from evenhand.topics import state_topic

TIMEOUT_S = 30.0


class WorkersRun(EvenhandError):
    """The group has members: a state cannot be taken from under them."""


async def rebuild_state(settings: KafkaSettings, *, group: str, agent: str, reads: Iterable[str]) -> None:
    """Delete the state of an agent and let its group read `reads` (bare names) from the beginning.

    The group's other agents that read one of these topics get its records again too, and skip them by their position.
    Raises WorkersRun while the group has members. The embedded broker may keep one that has left; its log ends with it,
    so it is started anew instead.
    """
    await check_idle(settings, group)
    async with asyncio.timeout(TIMEOUT_S):
        await _forget_rows(settings, agent)
    await rewind_group(settings, group, reads)


async def rewind_group(settings: KafkaSettings, group: str, topics: Iterable[str]) -> None:
    """Set a group without members back to the beginning of topics (bare names)."""
    tps = [TopicPartition(settings.topic(t), partition) for t in topics for partition in range(settings.partitions)]
    consumer = AIOKafkaConsumer(**settings.client_kwargs(), group_id=group, enable_auto_commit=False)
    try:
        async with asyncio.timeout(TIMEOUT_S):
            await consumer.start()
            consumer.assign(tps)
            starts = await consumer.beginning_offsets(tps)
            await consumer.commit({tp: OffsetAndMetadata(offset, "") for tp, offset in starts.items()})
    finally:
        await stop_consumer(consumer)


async def check_idle(settings: KafkaSettings, group: str) -> None:
    """Raise WorkersRun if the group has members."""
    async with admin(settings) as client:
        members = await _members(client, group)
    if members:
        raise WorkersRun(f"group {group} has {members} members: stop all workers first (evenhand down)")


async def _members(client: AIOKafkaAdminClient, group: str) -> int:
    (answer,) = await client.describe_consumer_groups([group])
    return sum(len(described[5]) for described in answer.groups)


async def _forget_rows(settings: KafkaSettings, agent: str) -> None:
    producer = AIOKafkaProducer(**settings.client_kwargs(), acks="all", enable_idempotence=settings.idempotence)
    await producer.start()
    try:
        for partition in range(settings.partitions):
            topic = settings.topic(state_topic(agent).name)
            await producer.send_and_wait(topic, key=RESET, value=b"", partition=partition)
    finally:
        await producer.stop()
