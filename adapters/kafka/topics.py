"""Creating our topics, and checking that those which exist are as the contract says."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable, Mapping
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError, for_code

from adapters.errors import DependencyUnavailable, TopicMismatch
from adapters.kafka.connection import check_connection
from adapters.kafka.settings import AS_MANY_AS_USEFUL, KafkaSettings
from evenhand.topics import Topic

MAX_MESSAGE_BYTES = 1_048_588
"""The greatest record batch that a topic takes: Kafka's own default, written down so that nobody lowers it."""
MIN_COMPACTION_LAG_MS = 600_000
"""Rows younger than this stay, so that a loader sees whole batches and the owner records between them."""

_TOPIC_ALREADY_EXISTS = 36
_NONE = 0
_USEFUL_COPIES = 3
_DEADLINE_S = 30.0


def configuration(topic: Topic) -> dict[str, str]:
    """The settings that a topic must have on a broker that has topic settings."""
    wanted = {"message.timestamp.type": "LogAppendTime", "max.message.bytes": str(MAX_MESSAGE_BYTES)}
    if topic.compacted:
        return {**wanted, "cleanup.policy": "compact", "min.compaction.lag.ms": str(MIN_COMPACTION_LAG_MS)}
    return {**wanted, "cleanup.policy": "delete", "retention.ms": str(topic.retention_ms)}


async def ensure_topics(settings: KafkaSettings, topics: Iterable[Topic]) -> list[str]:
    """Create the topics that are missing and check all of them. Returns the names of those that were created.

    Raises TopicMismatch for the first that is not as it must be, and changes nothing that exists.
    """
    wanted = {settings.topic(topic.name): topic for topic in topics}
    await check_connection(settings)
    async with admin(settings) as client:
        created = await _create_missing(client, settings, wanted)
        partitions = await _wait_visible(client, wanted)
        for name in wanted:
            _check_partitions(name, partitions[name], settings.partitions)
        if settings.capabilities.topic_configs:
            for name, found in (await read_configurations(client, list(wanted))).items():
                check_configuration(name, found, configuration(wanted[name]))
    return created


@contextlib.asynccontextmanager
async def admin(settings: KafkaSettings) -> AsyncIterator[AIOKafkaAdminClient]:
    """An admin client that is closed afterwards."""
    client = AIOKafkaAdminClient(**settings.client_kwargs(), request_timeout_ms=int(_DEADLINE_S * 1000))
    try:
        await client.start()
        yield client
    except (KafkaError, TimeoutError) as error:
        raise DependencyUnavailable(f"the broker at {settings.bootstrap_servers} refuses: {error!r}") from error
    finally:
        await client.close()


def check_configuration(name: str, found: Mapping[str, str], wanted: Mapping[str, str]) -> None:
    """Raise TopicMismatch if a setting is not as wanted. More retention, lag or size than wanted is fine."""
    for setting, value in wanted.items():
        has = found.get(setting, "unset")
        if setting in {"retention.ms", "min.compaction.lag.ms", "max.message.bytes"}:
            good = has != "unset" and (int(has) == -1 or (int(value) != -1 and int(has) >= int(value)))
        else:
            good = has == value
        if not good:
            raise TopicMismatch(
                f"topic {name} has {setting}={has}, but evenhand needs {value}: run kafka-configs.sh "
                f"--bootstrap-server BROKER --alter --entity-type topics --entity-name {name} --add-config "
                f"{setting}={value}, or delete the topic and start again"
            )


async def read_configurations(client: AIOKafkaAdminClient, names: list[str]) -> dict[str, dict[str, str]]:
    """Settings of topics, by topic and setting."""
    answers = await client.describe_configs([ConfigResource(ConfigResourceType.TOPIC, name) for name in names])
    found: dict[str, dict[str, str]] = {}
    for answer in answers:
        for code, message, _, name, entries in answer.resources:
            if code != _NONE:
                raise DependencyUnavailable(f"settings of topic {name} cannot be read: {message or for_code(code)}")
            found[name] = {entry[0]: entry[1] for entry in entries if entry[1] is not None}
    return found


async def _create_missing(
    client: AIOKafkaAdminClient, settings: KafkaSettings, wanted: Mapping[str, Topic]
) -> list[str]:
    there = set(await client.list_topics())
    missing = [name for name in wanted if name not in there]
    if not missing:
        return []
    copies = settings.replication_factor
    if copies == AS_MANY_AS_USEFUL:
        copies = min(_USEFUL_COPIES, len((await client.describe_cluster())["brokers"]))
    new = [NewTopic(name, settings.partitions, copies, topic_configs=configuration(wanted[name])) for name in missing]
    answer = await client.create_topics(new)
    created = []
    for name, code, *message in answer.topic_errors:
        if code == _NONE:
            created.append(name)
        elif code != _TOPIC_ALREADY_EXISTS:  # another worker was faster
            raise DependencyUnavailable(
                f"topic {name} cannot be created: {for_code(code).__name__}: {message[0] if message else ''}"
            )
    return created


async def _wait_visible(client: AIOKafkaAdminClient, wanted: Mapping[str, Topic]) -> dict[str, int]:
    """Partition counts, as soon as every topic has a leader for each partition."""
    loop = asyncio.get_running_loop()
    give_up = loop.time() + _DEADLINE_S
    while True:
        rows: list[dict[str, Any]] = await client.describe_topics(list(wanted))
        ready = {
            row["topic"]: len(row["partitions"])
            for row in rows
            if row["error_code"] == _NONE and all(part["error_code"] == _NONE for part in row["partitions"])
        }
        if ready.keys() >= wanted.keys():
            return ready
        if loop.time() > give_up:
            waiting = ", ".join(sorted(wanted.keys() - ready.keys()))
            raise DependencyUnavailable(f"no leader for topics {waiting} within {_DEADLINE_S:g} s")
        await asyncio.sleep(0.05)


def _check_partitions(name: str, found: int, wanted: int) -> None:
    if found != wanted:
        raise TopicMismatch(
            f"topic {name} has {found} partitions, but evenhand needs {wanted}, the same for all topics: delete the "
            f"topic and start again, or set EVENHAND_PARTITIONS={found} if all topics have as many"
        )
