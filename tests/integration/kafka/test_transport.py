"""The transport on a broker, with real workers: nothing lost, torn or missed, whatever happens to them."""

import asyncio
import random
import signal
from pathlib import Path

import pytest

from adapters.kafka.ending import FROZEN
from adapters.kafka.settings import KafkaSettings
from tests.integration.kafka.cluster import Observer, cluster, produce_pairs

pytestmark = [pytest.mark.faults, pytest.mark.timeout(170)]
RIGHT = {"missing": 0, "unknown": 0, "torn": 0, "missed by the slow reader": 0}


async def test_kills_and_a_clean_stop_lose_nothing(settings: KafkaSettings, var: Path) -> None:
    async with cluster(settings, var) as running, Observer(settings) as observer:
        running.start()
        running.start()
        producing = asyncio.create_task(produce_pairs(settings, 2_000, spread_s=4))
        for number in (signal.SIGKILL, signal.SIGKILL, signal.SIGTERM):
            before = len(observer.outcome.pairs)
            async with asyncio.timeout(60):
                while len(observer.outcome.pairs) < before + 100:  # something has been done since
                    await observer.poll()
            victim = running.workers[0]
            await victim.started()
            victim.kill(number)
            assert await victim.ended(10) == (0 if number == signal.SIGTERM else -number)
            running.replace_dead()
        assert await observer.complete(await producing, running) == RIGHT, running.logs()


async def test_a_frozen_worker_ends_itself_before_it_writes(settings: KafkaSettings, var: Path) -> None:
    async with cluster(settings, var) as running, Observer(settings) as observer:
        frozen, _ = running.start(), running.start()
        producing = asyncio.create_task(produce_pairs(settings, 2_000, spread_s=6))
        async with asyncio.timeout(60):
            while len(observer.outcome.pairs) < 100:
                await observer.poll()
        frozen.kill(signal.SIGSTOP)
        await asyncio.sleep(8)  # longer than the session
        frozen.kill(signal.SIGCONT)
        assert await frozen.ended(10) == FROZEN, frozen.text
        assert await observer.complete(await producing, running) == RIGHT, running.logs()


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.parametrize("seed", [1, 2])
async def test_three_workers_killed_frozen_and_stopped_at_random(settings: KafkaSettings, var: Path, seed: int) -> None:
    chance = random.Random(seed)
    async with cluster(settings, var) as running, Observer(settings) as observer:
        for _ in range(3):
            running.start()
        producing = asyncio.create_task(produce_pairs(settings, 30_000, seed, spread_s=40))
        while not producing.done():
            await asyncio.sleep(chance.uniform(1, 4))
            await observer.poll()
            victim = chance.choice(running.workers)
            match chance.choice(["kill", "stop", "freeze"]):
                case "kill":
                    victim.kill()
                case "stop":
                    victim.kill(signal.SIGTERM)
                case _:
                    victim.kill(signal.SIGSTOP)
                    await asyncio.sleep(chance.uniform(2, 9))
                    victim.kill(signal.SIGCONT)
            running.replace_dead()
        assert await observer.complete(await producing, running, 120) == RIGHT, running.logs()


@pytest.mark.slow
@pytest.mark.timeout(400)
async def test_a_kill_at_every_failpoint_loses_nothing(settings: KafkaSettings, var: Path) -> None:
    names = (
        "after_decode", "after_send", "after_ack", "after_state_write", "after_changelog_ack", "before_commit",
        "after_commit", "loading",
    )  # fmt: skip
    async with cluster(settings, var) as running, Observer(settings) as observer:
        running.start()
        producing = asyncio.create_task(produce_pairs(settings, 8_000, spread_s=60))
        for name in names:
            doomed = running.start(EVENHAND_FAILPOINT=f"{name}:3:kill")
            await doomed.ended(60)
            running.workers.remove(doomed)
            assert doomed.process.returncode == -signal.SIGKILL, doomed.text
        assert await observer.complete(await producing, running, 120) == RIGHT, running.logs()
