"""Plays a play on a stage: appends what comes next, and waits for decisions where the play does."""

import time
from collections.abc import Callable
from typing import NamedTuple

import msgspec

from adapters.following import Follower, following, wait_for
from adapters.replaying import until_done
from adapters.stage import Stage
from evenhand.demonstration.play import Play
from evenhand.epochs import last_closed_epoch
from evenhand.events import AlertFired, AlertResolved, DecisionMade, DriftCleared, DriftDetected
from evenhand.processors.counts import Counts

HOURS_AT_ONCE = 12


class Standing(NamedTuple):
    """Where a performance stands."""

    hours: int
    of_hours: int
    counts: Counts
    decisions: list[DecisionMade]
    killed: int
    drift: list[DriftDetected | DriftCleared]
    alerts: list[AlertFired | AlertResolved]


class Performance(msgspec.Struct):
    """What came of it."""

    counts: Counts
    records: int
    wall_s: float
    killed: int
    drift: list[DriftDetected | DriftCleared]
    alerts: list[AlertFired | AlertResolved]


async def perform(play: Play, stage: Stage, tell: Callable[[Standing], None], kills: int = 0) -> Performance:
    """Play to the end, until every wait is over and every epoch that the ticks close is judged."""
    began, records = time.monotonic(), 0
    at = [len(play.hours) * (number + 1) // (kills + 1) for number in range(kills)]
    async with following(stage.settings, play.judgement) as follower:

        def stand() -> None:
            tell(
                Standing(
                    play.told,
                    len(play.hours),
                    follower.counts,
                    play.judgement.decisions(),
                    stage.killed,
                    follower.drift,
                    follower.alerts,
                )
            )

        while not play.is_over:
            stage.tend()
            while at and play.told >= at[0]:
                at.pop(0)
                stage.kill(len(at))
            appended = play.next(HOURS_AT_ONCE)
            if appended:
                records += await stage.write.append(appended)
            else:
                await wait_for(f"a decision about epoch {play.must_be_judged}", follower, stage)
            stand()
        while not _is_done(play, follower):
            await wait_for("the last epochs and waits to end", follower, stage)
            stand()
        await until_done(stage, lambda _: None)  # what follows from the last judgements: alerts, and who hears of them
        while await follower.wait(1.0):
            stand()
        wall_s = time.monotonic() - began
        return Performance(follower.counts, records, wall_s, stage.killed, follower.drift, follower.alerts)


def _is_done(play: Play, follower: Follower) -> bool:
    if follower.watermark < play.last_tick:
        return False
    watched = play.current.served.monitoring
    if watched is not None:
        closed = last_closed_epoch(play.last_tick, watched.epoch_s, watched.grace_s)
        if follower.drift_through < closed:
            return False
    experiment = play.current.served.experiment
    if experiment is None:
        return True
    last = last_closed_epoch(play.last_tick, experiment.epoch_s, experiment.grace_s)
    return play.judgement.through(experiment.name) >= last
