"""Topics are created as the contract says, and one that is not so is refused with what to do."""

import asyncio
import dataclasses

import pytest
from aiokafka.admin import NewTopic

from adapters.errors import DependencyUnavailable, TopicMismatch
from adapters.kafka.settings import KafkaSettings
from adapters.kafka.topics import admin, check_configuration, configuration, ensure_topics, read_configurations
from evenhand.client.produce import Producer
from evenhand.events import OutcomeObserved
from evenhand.topics import DECISIONS, FOR_EVER, TOPICS, Topic, every_topic, state_topic

pytestmark = pytest.mark.timeout(60)


async def existing(settings: KafkaSettings, topic: Topic, partitions: int, **changed: str) -> str:
    """A topic that somebody made before us, with other settings."""
    name = settings.topic(topic.name)
    configs = configuration(topic) | {key.replace("_", "."): value for key, value in changed.items()}
    async with admin(settings) as client:
        answer = await client.create_topics([NewTopic(name, partitions, 1, topic_configs=configs)])
    assert [row[1] for row in answer.topic_errors] == [0]
    return name


async def test_all_topics_are_created_once(settings: KafkaSettings) -> None:
    every = every_topic()
    assert len(await ensure_topics(settings, every)) == len(every)
    assert await ensure_topics(settings, every) == []
    async with admin(settings) as client:
        found = await client.describe_topics([settings.topic(topic.name) for topic in every])
    assert {len(row["partitions"]) for row in found} == {8}


async def test_workers_that_start_together_do_not_disturb_each_other(settings: KafkaSettings) -> None:
    every = every_topic()
    created = await asyncio.gather(*(ensure_topics(settings, every) for _ in range(3)))
    assert sorted(name for names in created for name in names) == sorted(settings.topic(topic.name) for topic in every)


async def test_settings_are_those_of_the_contract(settings: KafkaSettings) -> None:
    state = state_topic("attribution")
    await ensure_topics(settings, [TOPICS[DECISIONS], state])
    async with admin(settings) as client:
        found = await read_configurations(client, [settings.topic(DECISIONS), settings.topic(state.name)])
    decisions, rows = found[settings.topic(DECISIONS)], found[settings.topic(state.name)]
    assert decisions["message.timestamp.type"] == rows["message.timestamp.type"] == "LogAppendTime"
    assert (decisions["cleanup.policy"], decisions["retention.ms"]) == ("delete", str(FOR_EVER))
    assert (rows["cleanup.policy"], rows["min.compaction.lag.ms"]) == ("compact", "600000")


async def test_a_wrong_number_of_partitions_is_refused(settings: KafkaSettings) -> None:
    name = await existing(settings, TOPICS[DECISIONS], 3)
    with pytest.raises(TopicMismatch, match=rf"{name} has 3 partitions, but evenhand needs 8.*EVENHAND_PARTITIONS=3"):
        await ensure_topics(settings, [TOPICS[DECISIONS]])
    await ensure_topics(dataclasses.replace(settings, partitions=3), [TOPICS[DECISIONS]])


@pytest.mark.parametrize(
    ("topic", "setting", "found"),
    [
        (TOPICS[DECISIONS], "message.timestamp.type", "CreateTime"),
        (TOPICS[DECISIONS], "retention.ms", "1000"),
        (TOPICS[DECISIONS], "cleanup.policy", "compact"),
        (TOPICS[DECISIONS], "max.message.bytes", "1000"),
        (state_topic("evidence"), "cleanup.policy", "delete"),
        (state_topic("evidence"), "min.compaction.lag.ms", "0"),
    ],
)
async def test_a_wrong_setting_is_refused(settings: KafkaSettings, topic: Topic, setting: str, found: str) -> None:
    name = await existing(settings, topic, 8, **{setting.replace(".", "_"): found})
    wanted = configuration(topic)[setting]
    with pytest.raises(TopicMismatch, match=rf"{name} has {setting}={found}, but evenhand needs {wanted}: run"):
        await ensure_topics(settings, [topic])


def test_more_than_what_is_needed_is_accepted() -> None:
    wanted = configuration(Topic(name="x", retention_ms=1000))
    for setting, value in {"retention.ms": "-1", "max.message.bytes": "2000000"}.items():
        check_configuration("x", wanted | {setting: value}, wanted)
    with pytest.raises(TopicMismatch, match=r"retention\.ms=2000, but evenhand needs -1"):
        check_configuration("x", wanted | {"retention.ms": "2000"}, wanted | {"retention.ms": "-1"})
    with pytest.raises(TopicMismatch, match=r"message\.timestamp\.type=unset"):
        check_configuration("x", {}, wanted)


async def test_who_sends_before_there_are_topics_is_told_so_and_makes_none(settings: KafkaSettings) -> None:
    """The broker would make one with as many partitions as it likes, and no worker could start any more."""
    event = OutcomeObserved(id="o", time=1_600_000_000_000, key="k", value=1.0, request_id="r")
    async with Producer(settings) as producer:
        with pytest.raises(DependencyUnavailable, match=r"outcomes\.v1 does not exist at .*evenhand topics create"):
            await producer.send(event)
        every = every_topic()
        assert len(await ensure_topics(settings, every)) == len(every)
        assert (await producer.send(event)).offset == 0
