"""What is to be appended next: ticks at full hours, controls at their event time, and what users tell between them.

It never runs ahead of the decisions by more than `control_lag_ms`: a decision of an epoch acts at the epoch's end plus
that, and nothing later is produced before the epoch has been judged. So data, seed and options determine the log.
"""

from collections import defaultdict
from collections.abc import Sequence

from evenhand.codec import encode
from evenhand.demonstration.users import HOUR_MS, Hour, Plot, Users, rows
from evenhand.errors import InvalidConfiguration
from evenhand.events import ControlChanged, Served, Ticked
from evenhand.experiments.experiment import Experiment
from evenhand.judgement import Judgement
from evenhand.monitoring import Monitoring
from evenhand.processors.base import Row
from evenhand.processors.control import after_decision, control
from evenhand.topics import METRICS, OUTCOMES, REQUESTS

Appended = dict[tuple[str, int], list[Row]]
SECOND_MS = 1000


class Play:
    """A market's hours with an experiment from the first hour on."""

    def __init__(
        self,
        hours: Sequence[Hour],
        plot: Plot,
        experiment: Experiment,
        judgement: Judgement,
        control_lag_ms: int,
        monitoring: Monitoring | None = None,
    ) -> None:
        if control_lag_ms % plot.scene_ms or (experiment.epoch_s * SECOND_MS) % plot.scene_ms:
            raise InvalidConfiguration("control_lag_ms and the epoch must be multiples of scene_ms")
        if control_lag_ms <= experiment.grace_s * SECOND_MS:
            raise InvalidConfiguration("control_lag_ms must be longer than the grace, or no decision is ever in time")
        self.users, self.judgement, self.plot = Users(plot), judgement, plot
        self.hours = [*hours, *_waits(hours[-1].time + HOUR_MS, plot, experiment)]
        self.told = 0  # hours
        champion = experiment.variant(experiment.champion).version
        served = Served(
            champion=champion, wait_s=plot.wait_ms // SECOND_MS, experiment=experiment, monitoring=monitoring
        )
        self.first = self.current = control(served, plot.model, hours[0].time, f"demo-{plot.seed}")
        self.changes: list[ControlChanged] = []
        self._lag_ms, self._epoch_ms = control_lag_ms, experiment.epoch_s * SECOND_MS
        self._done = 0  # decisions looked at

    @property
    def is_over(self) -> bool:
        """Whether everything has been told."""
        return self.told == len(self.hours)

    @property
    def last_tick(self) -> int:
        """How far event time comes."""
        return self.hours[-1].time

    @property
    def must_be_judged(self) -> int:
        """The last epoch that must be judged before the next hour may be told."""
        return (self.hours[self.told].time - self._lag_ms) // self._epoch_ms - 1

    @property
    def may_go_on(self) -> bool:
        """Whether the next hour may be told."""
        if self.is_over:
            return False
        needed, running = self.must_be_judged, self.current.served.experiment
        if running is None or needed < self.first.time // self._epoch_ms:
            return True
        return needed <= self.judgement.through(running.name)

    def next(self, most_hours: int) -> Appended:
        """What comes next, of at most so many hours; nothing where decisions are waited for."""
        appended: Appended = defaultdict(list)
        for _ in range(most_hours):
            if not self.may_go_on:
                break
            self._tell(self.hours[self.told], appended)
            self.told += 1
        return appended

    def _tell(self, hour: Hour, appended: Appended) -> None:
        tick = Row(None, encode(Ticked(id=f"clock@{hour.time}", time=hour.time, key="_clock")), [])
        for topic in (REQUESTS, OUTCOMES, METRICS):
            for partition in range(self.plot.partitions):
                appended[topic, partition].append(tick)
        controls = [self.first] if self.told == 0 else self._due(hour.time)
        for each in controls:
            for partition in range(self.plot.partitions):
                appended[REQUESTS, partition].append(Row(None, encode(each), []))
        for place, told in rows(self.users.tell(hour)).items():
            appended[place] += told

    def _due(self, time: int) -> list[ControlChanged]:
        """Controls of the decisions that act at this hour."""
        due = []
        for decision in self.judgement.decisions()[self._done :]:
            if decision.time + self._lag_ms > time:
                break
            self._done += 1
            changed = after_decision(self.current, decision, decision.time + self._lag_ms)
            if changed is not None:
                self.current = changed
                due.append(changed)
        self.changes += due
        return due


def _waits(start: int, plot: Plot, experiment: Experiment) -> list[Hour]:
    """Hours without users, until every wait is over and the epoch in which the last one ends is closed."""
    epoch_ms, grace_ms = experiment.epoch_s * SECOND_MS, experiment.grace_s * SECOND_MS
    longest = start + plot.wait_ms + 4 * HOUR_MS
    end = -(-longest // epoch_ms) * epoch_ms + grace_ms
    return [Hour(time, None, None) for time in range(start, end + HOUR_MS, HOUR_MS)]
