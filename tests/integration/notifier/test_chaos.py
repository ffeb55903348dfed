"""Alerts reach every channel at least once with one key each, whatever is killed, slow, refusing or dropping."""

import asyncio
import random
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from adapters.kafka.appending import appender
from adapters.kafka.broker import Broker, start_broker
from adapters.kafka.log_reader import log_reader
from adapters.kafka.settings import KafkaSettings
from adapters.kafka.topics import ensure_topics
from adapters.notifiers.channels import channels
from adapters.notifiers.delivery import Delivery
from adapters.notifiers.notifier import notify
from evenhand.alerts.configured import read_alerts
from evenhand.alerts.payload import iso
from evenhand.codec import decode, encode
from evenhand.events import AlertRouted, DeadLettered
from evenhand.processors.base import Row
from evenhand.topics import DEAD_LETTERS, NOTIFICATIONS, PARTITIONS, every_topic
from tests.integration.notifier.world import CANARY, CHANNELS, CONFIG, World, uncommitted


@pytest.fixture
def broker(var: Path) -> Iterator[Broker]:
    started = start_broker(var)
    yield started
    started.stop()


async def write(settings: KafkaSettings, count: int) -> None:
    """Alerts over all partitions, each of an incident of its own."""
    await ensure_topics(settings, every_topic())
    rows: dict[tuple[str, int], list[Row]] = {}
    for number in range(count):
        event = AlertRouted(
            id=f"a{number}", time=1_542_153_600_000 + number, key="m", status="firing", fingerprint=f"f{number}",
            labels={"alertname": "slow", "severity": "critical", "model": "m", "number": f"a{number}"},
            annotations={"summary": "p95 is 2000 ms"}, startsAt=iso(1_542_153_600_000), channels=CHANNELS, why="told",
            incident=f"i{number}",
        )  # fmt: skip
        rows.setdefault((NOTIFICATIONS, number % PARTITIONS), []).append(Row(b"m", encode(event), []))
    async with appender(settings) as write_rows:
        await write_rows.append(rows)


async def wait_told(world: World, count: int, limit_s: float) -> None:
    give_up = time.monotonic() + limit_s
    while world.missing(count):
        assert world.process is not None
        assert world.process.alive(), world.said()
        assert time.monotonic() < give_up, (world.missing(count), world.said()[-2000:])
        await asyncio.sleep(0.1)


@pytest.mark.timeout(900)
@pytest.mark.parametrize(("count", "kills"), [
    (300, 2), pytest.param(10_000, 20, marks=pytest.mark.slow),
])  # fmt: skip
async def test_every_alert_arrives_with_one_key_whatever_is_killed(
    count: int, kills: int, var: Path, broker: Broker, unused_tcp_port_factory: Callable[[], int]
) -> None:
    chance = random.Random(count)
    with World(var, broker, (unused_tcp_port_factory(), unused_tcp_port_factory())) as world:
        await write(world.settings, count)
        for number in range(kills):
            world.start()
            upto = 3 * count - 3 * count * (number + 1) // (2 * kills + 1)
            give_up = time.monotonic() + 240
            while world.missing(count) > upto:
                assert time.monotonic() < give_up, (world.missing(count), world.said()[-2000:])
                await asyncio.sleep(chance.uniform(0.02, 0.1))
            world.kill()
        assert world.missing(count) > 0, "it was killed in the midst of work"
        world.start()
        await wait_told(world, count, 420)
        give_up = time.monotonic() + 90
        while any([await uncommitted(world.settings, channel) for channel in CHANNELS]):
            assert time.monotonic() < give_up, "offsets are not committed"
            await asyncio.sleep(0.2)
        for channel, taken in world.told.items():
            assert set(taken) == {f"a{number}" for number in range(count)}, channel
            assert all(len(keys) == 1 for keys in taken.values()), "one idempotency key for each"
        assert world.web.refused > count // 20
        assert world.mail.dropped > count // 20
        assert CANARY not in world.said()


@pytest.mark.timeout(120)
async def test_it_ends_when_asked_to_though_the_broker_is_gone(
    var: Path, broker: Broker, unused_tcp_port_factory: Callable[[], int]
) -> None:
    with World(var, broker, (unused_tcp_port_factory(), unused_tcp_port_factory())) as world:
        await write(world.settings, 2000)
        world.start()
        while world.missing(2000) > 5000:
            await asyncio.sleep(0.05)
        broker.stop()
        assert world.process is not None
        assert world.process.stop(grace_s=30.0) != -signal.SIGKILL, world.said()[-2000:]


@pytest.mark.timeout(180)
async def test_a_dead_channel_delays_no_other_and_secrets_stay_out_of_dead_letters(
    var: Path, broker: Broker, unused_tcp_port_factory: Callable[[], int]
) -> None:
    with World(var, broker, (unused_tcp_port_factory(), unused_tcp_port_factory())) as world:
        world.web.is_dead = True
        await write(world.settings, 40)
        found, missing = channels(read_alerts(CONFIG), world.environment)
        assert not missing
        assert CANARY not in repr(found)
        ended: list[Delivery] = []
        task = asyncio.create_task(notify(world.settings, found, ended.append, deadline_s=15))
        give_up = time.monotonic() + 120
        while len([one for one in ended if one.channel == "email"]) < 40:
            assert not task.done(), task
            assert time.monotonic() < give_up
            await asyncio.sleep(0.1)
        assert not [one for one in ended if one.channel == "slack" and one.delivered]
        letters: list[DeadLettered] = []
        while len(letters) < 40:
            assert not task.done(), task
            assert time.monotonic() < give_up
            await asyncio.sleep(0.5)
            letters = await dead_letters(world.settings)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert {letter.topic for letter in letters} == {NOTIFICATIONS}
        assert all(letter.reason.startswith("slack: not delivered after ") for letter in letters)
        assert CANARY not in repr((letters, ended))


async def dead_letters(settings: KafkaSettings) -> list[DeadLettered]:
    async with log_reader(settings) as reader:
        places = await reader.places(DEAD_LETTERS)
        found = [
            decode(DEAD_LETTERS, record.value)
            async for record in reader.read(await reader.beginnings(places), await reader.ends(places))
        ]
    return list({letter.id: letter for letter in found}.values())
