"""What a group has committed, asked of a broker that has never had a group."""

from pathlib import Path

from adapters.kafka.broker import start_broker
from adapters.kafka.log_reader import committed, log_reader
from adapters.kafka.settings import KafkaSettings
from adapters.kafka.topics import ensure_topics
from evenhand import topics as t


async def test_a_new_broker_says_that_nothing_is_committed(tmp_path: Path) -> None:
    broker = start_broker(tmp_path)
    try:
        settings = KafkaSettings(bootstrap_servers=broker.bootstrap, known_capabilities=broker.capabilities)
        await ensure_topics(settings, [t.TOPICS[t.REQUESTS]])
        async with log_reader(settings) as reader:
            assert await committed(settings, "nobody", await reader.places(t.REQUESTS)) == {}
    finally:
        broker.stop()
