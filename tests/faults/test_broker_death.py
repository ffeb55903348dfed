"""The broker dies with kill -9 under load, twice, and comes back with its log: the books are right."""

import asyncio
import os
from pathlib import Path

import pytest

from adapters.kafka.kafka_home import start_kafka
from adapters.kafka.settings import KafkaSettings
from tests.faults.play import playing

pytestmark = [
    pytest.mark.faults,
    pytest.mark.slow,
    pytest.mark.kafka,
    pytest.mark.timeout(400),
    pytest.mark.skipif("KAFKA_HOME" not in os.environ, reason="KAFKA_HOME is not set"),
]


async def test_a_broker_that_is_killed_twice_costs_nothing(tmp_path: Path, var: Path) -> None:
    home = Path(os.environ["KAFKA_HOME"])
    broker = start_kafka(tmp_path, home=home)
    try:
        settings = KafkaSettings(bootstrap_servers=broker.bootstrap, known_capabilities=broker.capabilities)
        async with playing(settings, var) as play:
            play.loop.start()
            await play.loop.member(play.loop.start())
            telling = asyncio.create_task(play.tell(pace_s=0.5))
            for _ in range(2):
                await asyncio.sleep(6)
                assert not telling.done(), "the load ends too early to show anything"
                broker.child.kill()
                broker = await asyncio.to_thread(start_kafka, tmp_path, home=home, port=broker.port)
                play.loop.replace_dead()
            await telling
            assert await play.faults(180) == {}, play.loop.logs()
    finally:
        broker.stop()
