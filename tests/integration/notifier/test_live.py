"""The alerting agent on a broker: people acknowledge and silence, and stuck channels do not hold it up."""

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from adapters.clock import now_ms
from adapters.kafka.appending import appender
from adapters.kafka.broker import Broker, start_broker
from adapters.kafka.log_reader import LogReader, committed, log_reader
from adapters.kafka.settings import KafkaSettings
from adapters.kafka.topics import ensure_topics
from adapters.loop_state import group
from evenhand.alerts.policy import AlertPolicy
from evenhand.alerts.rule import AlertRule
from evenhand.codec import decoder, encode
from evenhand.events import AlertRouted, DriftJudged, Event, ServiceLevelReported
from evenhand.partitioning import partition_of
from evenhand.processors.base import Row
from evenhand.topics import DRIFT_SIGNALS, NOTIFICATIONS, PARTITIONS, SERVICE_LEVELS, every_topic
from tests.integration.kafka.cluster import Cluster
from tests.integration.notifier.world import CHANNELS, World, uncommitted

EPOCH_MS = 60_000
MODELS = tuple(f"m{number}" for number in range(8))
SLOW = AlertRule(
    name="slow", metric="response_time_p95_ms", comparison=">", threshold=100, unit="ms", window_s=60,
    channels=CHANNELS, repeat_s=600, flaps=10_000,
)  # fmt: skip
POLICY = AlertPolicy(rules=(SLOW,), group_wait_s=0, group_s=0)
START_MS = (now_ms() - 86_400_000) // EPOCH_MS * EPOCH_MS


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    started = start_broker(tmp_path_factory.mktemp("broker"))
    yield started
    started.stop()


@pytest.fixture
async def world(var: Path, broker: Broker, unused_tcp_port_factory: Callable[[], int]) -> AsyncIterator[World]:
    """Topics and a worker with all agents. The notifier is not started yet."""
    with World(var, broker, (unused_tcp_port_factory(), unused_tcp_port_factory()), f"{var.parent.name}.") as made:
        await ensure_topics(made.settings, every_topic())
        workers = Cluster(made.settings, var / "workers", "tests.faults.worker")
        workers.start(EVENHAND_HOME=str(var), EVENHAND_CONTROLS="given", OMP_NUM_THREADS="1", WORKER_NAME="0")
        try:
            yield made
        finally:
            workers.stop()


async def judge(settings: KafkaSettings, epochs: range, slow: Callable[[int], bool], *models: str) -> None:
    """What slo and drift say of epochs."""
    rows: dict[tuple[str, int], list[Row]] = {}
    for model in models:
        for epoch in epochs:
            common: dict[str, Any] = {
                "time": START_MS + (epoch + 1) * EPOCH_MS, "key": model, "model": model, "subject": f"{model}@1",
                "epoch": epoch,
            }  # fmt: skip
            values = {"error_fraction": 0.0, "response_time_p95_ms": 500.0 if slow(epoch) else 20.0}
            told: tuple[tuple[str, Event], ...] = (
                (SERVICE_LEVELS, ServiceLevelReported(
                    id=f"{model}-{epoch}", epoch_s=60, values=values, alerts=None if epoch else POLICY, **common,
                )),
                (DRIFT_SIGNALS, DriftJudged(id=f"{model}-{epoch}-judged", **common)),
            )  # fmt: skip
            for topic, event in told:
                place = topic, partition_of(model, PARTITIONS)
                rows.setdefault(place, []).append(Row(model.encode(), encode(event), []))
    async with appender(settings) as write:
        await write.append(rows)


async def lag(settings: KafkaSettings, reader: LogReader) -> int:
    """Records that wait for the agents."""
    places = await reader.places(SERVICE_LEVELS, DRIFT_SIGNALS)
    done = await committed(settings, group(settings), places)
    return sum(end - done.get(place, 0) for place, end in (await reader.ends(places)).items())


async def caught_up(settings: KafkaSettings, limit_s: float = 120) -> tuple[float, int]:
    """Wait until no record waits for the agents; seconds, and the most that waited."""
    began, most = time.monotonic(), 0
    async with log_reader(settings) as reader:
        while (waits := await lag(settings, reader)) > 0:
            most = max(most, waits)
            assert time.monotonic() - began < limit_s, f"{waits} records wait"
            await asyncio.sleep(0.1)
    return time.monotonic() - began, most


async def told(settings: KafkaSettings) -> list[AlertRouted]:
    async with log_reader(settings) as reader:
        places = await reader.places(NOTIFICATIONS)
        return [
            decoder(AlertRouted).decode(record.value or b"")
            async for record in reader.read(await reader.beginnings(places), await reader.ends(places))
        ]


async def command(world: World, *words: str) -> str:
    """`evenhand alerts ...`, as a user runs it."""
    done = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-m", "evenhand.cli", "alerts", *words],
        env=world.environment, capture_output=True, text=True, timeout=100,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.timeout(240)
async def test_an_acknowledged_incident_is_not_repeated_and_a_silence_keeps_the_next_one_back(world: World) -> None:
    await judge(world.settings, range(5), lambda epoch: epoch >= 3, "m0")
    await caught_up(world.settings)
    (alert,) = json.loads(await command(world, "list", "--json"))["alerts"]
    assert (alert["alert"], alert["model"], alert["by"]) == ("slow", "m0", None)
    await command(world, "ack", "m0", "--timeout", "60", "--reason", "I look")
    await judge(world.settings, range(5, 60), lambda epoch: epoch < 50, "m0")
    await caught_up(world.settings)
    assert [one.why for one in await told(world.settings)] == ["told", "resolved"]
    await command(world, "silence", "m0", "--for", "2h", "--match", "alertname=slow", "--timeout", "60")
    shown = json.loads(await command(world, "list", "--json"))
    assert (shown["alerts"], [each["matches"] for each in shown["silences"]]) == (
        [], [{"model": "m0", "alertname": "slow"}],
    )  # fmt: skip
    await judge(world.settings, range(60, 80), lambda _: True, "m0")
    await caught_up(world.settings)
    assert [one.why for one in await told(world.settings)] == ["told", "resolved"]


@pytest.mark.slow
@pytest.mark.timeout(500)
async def test_stuck_channels_leave_the_lag_of_the_agents_as_it_was(world: World) -> None:
    count = 400
    await judge(world.settings, range(2), lambda _: False, *MODELS)
    await caught_up(world.settings)

    async def round_of(number: int) -> tuple[float, int]:
        epochs = range(2 + number * count, 2 + (number + 1) * count)
        writing = asyncio.create_task(judge(world.settings, epochs, lambda epoch: epoch % 2 == 0, *MODELS))
        await writing
        return await caught_up(world.settings)

    alone = await round_of(0)
    world.web.is_dead = world.web.is_stuck = world.mail.is_dead = True
    world.start()
    give_up = time.monotonic() + 120
    while not (world.web.refused and world.web.hung and world.mail.dropped):
        assert time.monotonic() < give_up, world.said()
        await asyncio.sleep(0.1)
    stuck = await round_of(1)
    waiting = [await uncommitted(world.settings, channel) for channel in CHANNELS]
    print(
        f"{count * len(MODELS)} epochs: {alone[0]:.1f} s and at most {alone[1]} records of lag without a notifier, "
        f"{stuck[0]:.1f} s and {stuck[1]} with all channels stuck; {waiting} alerts wait for them"
    )
    assert len(await told(world.settings)) == 2 * count * len(MODELS)
    assert not any(world.told.values()), "no channel has taken anything"
    assert min(waiting) >= count * len(MODELS), "they have stood still"
    assert stuck[0] < 3 * alone[0] + 10
