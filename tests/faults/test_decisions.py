"""The decision log is a function of what users wrote: workers, kills and the way within the grace change no byte."""

import asyncio
from collections import Counter
from dataclasses import replace
from pathlib import Path

import orjson
import pytest

from adapters.kafka.settings import KafkaSettings
from evenhand.experiments.experiment import Rule
from tests.faults.loop import trial
from tests.faults.play import Play, playing
from tests.faults.story import Story

pytestmark = [pytest.mark.faults, pytest.mark.timeout(300)]
STORY = Story(requests=1_500, seconds=60, epoch_s=2)
RULE = Rule(minimum_sample_size=550, minimum_exposures=300, minimum_detectable_effect=0.5, missing_deviations=0.2)


async def decided(settings: KafkaSettings, var: Path, workers: int, kills: int = 0, shuffle: int | None = None) -> Play:
    """The decisions of so many workers, which must be right by themselves."""
    name = f"{workers}-{kills}-{shuffle}"
    own, story = settings.with_prefix(f"{settings.topic_prefix}{name}."), replace(STORY, shuffle=shuffle)
    async with playing(own, var / name, story) as play:
        play.experiment = trial(story, RULE)
        for _ in range(workers):
            play.loop.start()
        telling = asyncio.create_task(play.tell(pace_s=2.0 if kills else 0.0))
        for victim in range(kills):
            await play.loop.member(play.loop.workers[victim])
            play.loop.workers[victim].kill()
            await play.loop.workers[victim].ended(10)
            play.loop.replace_dead()
        play.hurry.set()
        await telling
        assert await play.faults() == {}, play.loop.logs()
    return play


async def test_no_worker_no_kill_and_no_way_within_the_grace_changes_a_decision(
    settings: KafkaSettings, var: Path
) -> None:
    alone, two, three = await asyncio.gather(
        decided(settings, var, 1), decided(settings, var, 2), decided(settings, var, 3, kills=2, shuffle=7)
    )
    actions = Counter(orjson.loads(value)["action"] for value in alone.decided)
    assert actions.total() >= 20, actions
    assert actions.keys() >= {"continue", "stop_harm", "promote"}
    assert two.decided == alone.decided
    assert three.decided == alone.decided
