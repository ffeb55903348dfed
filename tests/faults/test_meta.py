"""The books notice when a safety is missing: what is right with it is wrong without."""

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from adapters.kafka.log_reader import committed, log_reader
from adapters.kafka.settings import KafkaSettings
from adapters.loop_state import group
from evenhand.topics import PREDICTIONS
from tests.faults.books import total_counts
from tests.faults.play import Play, playing
from tests.faults.readings import state
from tests.faults.story import Story

pytestmark = [pytest.mark.faults, pytest.mark.timeout(300)]


async def held_up_and_killed(play: Play) -> None:
    """Attribution has counted predictions of a partition that evidence is not done with: then the worker is killed."""
    await play.tell()
    # Four loops share the machine: the watchdog must not end this one before all have come so far.
    slow = play.loop.start(EVENHAND_FAILPOINT="after_decode@evidence:1:sleep:600", EVENHAND_STALL_TIMEOUT_S="600")
    settings, before = play.loop.settings, -1
    async with asyncio.timeout(150), log_reader(settings) as reader:
        places = await reader.places(PREDICTIONS)
        while True:
            ends = await reader.ends(places)
            done = await committed(settings, group(settings), places)
            behind = [place.partition for place in places if done.get(place, 0) < ends[place]]
            held = await state(settings, "attribution")
            counted = all(total_counts({partition: held[partition]}).predictions for partition in behind)
            ready = len(behind) <= 1 and all(ends.values()) and counted
            if ready and sum(ends.values()) == before:
                break
            before = sum(ends.values()) if ready else -1
            await asyncio.sleep(1.0)
            assert slow.process.poll() is None, slow.text
    assert "failpoint after_decode@evidence: sleep" in slow.text
    slow.kill()
    await slow.ended(10)


NOTICED = {
    "": set[str](),
    "repeats": {"wrong count"},
    "stock": {"wrong sum", "epochs"},
    "first": {"wrong sum", "epochs"},
}


async def faults_with(settings: KafkaSettings, var: Path, careless: str) -> dict[str, list[Any]]:
    story = Story(requests=600, seconds=30)
    # Of eight partitions one holds no prediction: held up there, nothing could be lost.
    own = replace(settings.with_prefix(f"{settings.topic_prefix}{careless}."), partitions=4)
    async with playing(own, var / f"careless-{careless}", story, "tests.faults.careless", CARELESS=careless) as play:
        await held_up_and_killed(play)
        return await play.faults()


async def test_a_fast_and_a_slow_agent_lose_nothing_and_a_missing_safety_is_noticed(
    settings: KafkaSettings, var: Path
) -> None:
    # Side by side: most of their time is waiting for the session of the killed worker to run out.
    found = await asyncio.gather(*(faults_with(settings, var, careless) for careless in NOTICED))
    for (careless, noticed), faults in zip(NOTICED.items(), found, strict=True):
        assert set(faults) & noticed if careless else faults == {}, (careless, faults)
