"""What must hold before a worker consumes, so that no two workers disagree about who owns what."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from faust.assignor.partition_assignor import PartitionAssignor

from adapters.errors import TopicMismatch
from adapters.kafka.ending import FAILED, end_process
from adapters.kafka.topics import admin
from evenhand.topics import STATEFUL, state_topic

if TYPE_CHECKING:
    from aiokafka.structs import TopicPartition

    from adapters.kafka.app import BatchApp

_NONE = 0


def check_settings(app: BatchApp) -> None:
    """End the process if Faust is set in a way that loses or splits work."""
    if not isinstance(app.assignor, PartitionAssignor) or app.conf.table_standby_replicas != 1:
        end_process(FAILED, "Faust must use its co-partitioning assignor: leave table_standby_replicas at 1")
    if app.in_transaction or app.client_only:
        end_process(FAILED, "Faust must run as a worker with processing_guarantee at_least_once")
    if app.tables.changelog_topics:
        end_process(FAILED, "Faust tables are not safe, use PartitionState")


async def check_topics(app: BatchApp) -> None:
    """Raise TopicMismatch unless every topic that an agent reads, and its state, has the declared partitions."""
    wanted = sorted(set(app.readers) | {app.kafka.topic(state_topic(n).name) for n in app.topics_of if n in STATEFUL})
    async with admin(app.kafka) as client:
        found = {
            row["topic"]: len(row["partitions"])
            for row in await client.describe_topics(wanted)
            if row["error_code"] == _NONE
        }
    for topic in wanted:
        if topic not in found:
            raise TopicMismatch(f"topic {topic} does not exist: run evenhand topics create")
        if found[topic] != app.kafka.partitions:
            raise TopicMismatch(
                f"topic {topic} has {found[topic]} partitions and not {app.kafka.partitions}: all topics need the same "
                "number, which EVENHAND_PARTITIONS names"
            )


def check_copartitioned(app: BatchApp, assigned: Iterable[TopicPartition]) -> None:
    """End the process if an agent was given different partition numbers of its topics."""
    numbers: dict[str, set[int]] = {}
    for tp in assigned:
        numbers.setdefault(tp.topic, set()).add(tp.partition)
    for name, topics in app.topics_of.items():
        owned = {topic: sorted(numbers.get(topic, ())) for topic in topics}
        if len({tuple(partitions) for partitions in owned.values()}) > 1:
            end_process(FAILED, f"{name} was given different partitions of its topics, restart all workers: {owned}")
