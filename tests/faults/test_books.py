"""Whatever clients send and whatever dies: what comes out is what an independent fold of the log says."""

import asyncio
import random
import signal
from pathlib import Path

import pytest

from adapters.kafka.ending import FROZEN
from adapters.kafka.settings import KafkaSettings
from tests.faults.play import Play, commits_watched, playing
from tests.faults.story import Story

pytestmark = [pytest.mark.faults, pytest.mark.timeout(300)]
NINE = (
    "after_decode", "after_send", "after_ack", "after_state_write", "after_changelog_ack", "before_commit",
    "after_commit", "loading", "in_revoke",
)  # fmt: skip


async def killed_at(play: Play, failpoint: str, nth: int) -> None:
    """Start a worker that dies there, and wait for it."""
    doomed = play.loop.start(EVENHAND_FAILPOINT=f"{failpoint}:{nth}:kill")
    if failpoint == "in_revoke":
        play.loop.start()  # a rebalance, at the latest
    assert await doomed.ended(60) == -signal.SIGKILL, doomed.text
    play.loop.workers.remove(doomed)


async def test_kills_at_failpoints_and_a_third_worker_that_comes_and_goes(settings: KafkaSettings, var: Path) -> None:
    async with playing(settings, var) as play, commits_watched(settings) as unsafe:
        play.loop.start()
        play.loop.start()
        telling = asyncio.create_task(play.tell(pace_s=2.0))
        for failpoint in ("after_ack", "after_changelog_ack", "loading"):
            await killed_at(play, failpoint, 5)
        third = play.loop.start()
        await play.loop.member(third)
        third.kill(signal.SIGTERM)
        assert await third.ended(20) == 0, third.text
        play.loop.workers.remove(third)
        await play.told(telling)
        assert await play.faults() == {}, play.loop.logs()
    assert unsafe == []


@pytest.mark.slow
@pytest.mark.parametrize("failpoint", NINE)
async def test_a_kill_at_each_failpoint(settings: KafkaSettings, var: Path, failpoint: str) -> None:
    async with playing(settings, var) as play, commits_watched(settings) as unsafe:
        play.loop.start()
        telling = asyncio.create_task(play.tell(pace_s=2.0))
        for nth in (1,) if failpoint == "in_revoke" else (1, 4):
            await killed_at(play, failpoint, nth)
        await play.told(telling)
        assert await play.faults() == {}, play.loop.logs()
    assert unsafe == []


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.parametrize("seed", [1, 2])
async def test_workers_killed_frozen_stopped_and_added_at_random(settings: KafkaSettings, var: Path, seed: int) -> None:
    chance = random.Random(seed)
    story = Story(requests=10_000, seconds=100, seed=seed)
    async with playing(settings, var, story) as play, commits_watched(settings) as unsafe:
        play.loop.start()
        telling = asyncio.create_task(play.tell(pace_s=0.5))
        while not telling.done():
            await asyncio.sleep(chance.uniform(0.5, 2))
            if len(play.loop.workers) < 3 and chance.random() < 0.5:
                play.loop.start()
                continue
            victim = chance.choice(play.loop.workers)
            match chance.choice(["kill", "kill", "stop", "freeze", "leave"]):
                case "kill":
                    victim.kill()
                case "stop":
                    victim.kill(signal.SIGTERM)
                case "leave" if len(play.loop.workers) > 1:
                    victim.kill(signal.SIGTERM)
                    await victim.ended(30)
                    play.loop.workers.remove(victim)
                case _:
                    victim.kill(signal.SIGSTOP)
                    await asyncio.sleep(chance.choice((1, 8)))
                    victim.kill(signal.SIGCONT)
            play.loop.replace_dead()
        await telling
        assert await play.faults(180) == {}, play.loop.logs()
    assert unsafe == []


@pytest.mark.slow
async def test_a_frozen_worker_ends_itself_and_nothing_is_counted_twice(settings: KafkaSettings, var: Path) -> None:
    async with playing(settings, var) as play, commits_watched(settings) as unsafe:
        frozen, _ = play.loop.start(), play.loop.start()
        telling = asyncio.create_task(play.tell(pace_s=2.0))
        await play.loop.member(frozen)
        frozen.kill(signal.SIGSTOP)
        await asyncio.sleep(8)  # longer than the session
        frozen.kill(signal.SIGCONT)
        assert await frozen.ended(20) == FROZEN, frozen.text
        await play.told(telling)
        assert await play.faults() == {}, play.loop.logs()
    assert unsafe == []


@pytest.mark.slow
async def test_one_two_three_and_again_one_worker_under_load(settings: KafkaSettings, var: Path) -> None:
    async with playing(settings, var) as play, commits_watched(settings) as unsafe:
        telling = asyncio.create_task(play.tell(pace_s=2.0))
        for _ in range(3):
            await play.loop.member(play.loop.start())
        for worker in play.loop.workers[:2]:
            worker.kill(signal.SIGTERM)
            assert await worker.ended(20) == 0, worker.text
            play.loop.workers.remove(worker)
        await play.told(telling)
        assert await play.faults() == {}, play.loop.logs()
    assert unsafe == []
