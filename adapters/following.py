"""Follows one model through a log: its evidence, its decisions, and the books of attribution, as they grow."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import msgspec

from adapters.errors import DependencyUnavailable
from adapters.kafka.changelog import Loaded
from adapters.kafka.log_reader import LogReader, log_reader
from adapters.kafka.settings import KafkaSettings
from adapters.loop_state import added
from adapters.stage import Stage
from evenhand.drift.signals import Signal, signal_of
from evenhand.envelope import NEVER
from evenhand.events import AlertFired, AlertResolved
from evenhand.judgement import Judgement
from evenhand.processors.counts import COUNTS_ROW, Counts
from evenhand.processors.in_band import TICKS_ROW
from evenhand.processors.measures import SUBJECT_ROW, Reached
from evenhand.topics import ALERTS, DECISIONS, DRIFT_SIGNALS, EVIDENCE, state_topic

ATTRIBUTION, DRIFT = state_topic("attribution").name, state_topic("drift").name
STALLED_S = 120.0
_LOOK_S = 0.5


class Follower:
    """What is known so far. `changed` is set whenever there is more."""

    def __init__(self, settings: KafkaSettings, judgement: Judgement) -> None:
        self._settings, self.judgement = settings, judgement
        self.changed = asyncio.Event()
        self._signals: dict[str, Signal] = {}
        self._alerts: dict[str, AlertFired | AlertResolved] = {}
        self._books = {partition: Loaded() for partition in range(settings.partitions)}
        self._judges = {partition: Loaded() for partition in range(settings.partitions)}
        self._ended: BaseException | None = None

    @property
    def counts(self) -> Counts:
        """The books, over all partitions."""
        total = Counts()
        for loaded in self._books.values():
            if COUNTS_ROW in loaded.rows:
                total = added(total, msgspec.json.decode(loaded.rows[COUNTS_ROW][0], type=Counts))
        return total

    @property
    def drift(self) -> list[Signal]:
        """What drifted and what has a new reference, in order of time; the first record of each id."""
        return sorted(self._signals.values(), key=lambda event: (event.time, event.id))

    @property
    def alerts(self) -> list[AlertFired | AlertResolved]:
        """What fired and was resolved, in order of time; the first record of each id."""
        return sorted(self._alerts.values(), key=lambda event: (event.time, event.id))

    @property
    def drift_through(self) -> int:
        """The last epoch up to which drift has been judged; -1 while nothing has."""
        judged = [
            msgspec.json.decode(value, type=Reached)
            for loaded in self._judges.values()
            for key, (value, _) in loaded.rows.items()
            if key.startswith(SUBJECT_ROW)
        ]
        return min((each.next_epoch - 1 for each in judged if not each.is_over), default=-1)

    @property
    def watermark(self) -> int:
        """How far event time has come everywhere in attribution."""
        least = []
        for loaded in self._books.values():
            ticks = loaded.rows.get(TICKS_ROW)
            least.append(min(msgspec.json.decode(ticks[0], type=dict[str, int]).values()) if ticks else NEVER)
        return min(least)

    async def wait(self, timeout_s: float) -> bool:
        """Wait until there is more; False if there was nothing for so long."""
        if self._ended is not None:
            raise self._ended
        try:
            await asyncio.wait_for(self.changed.wait(), timeout_s)
        except TimeoutError:
            return False
        self.changed.clear()
        return True

    async def follow(self, reader: LogReader) -> None:
        """Read for ever."""
        try:
            places = await reader.places(EVIDENCE, DECISIONS, DRIFT_SIGNALS, ALERTS, ATTRIBUTION, DRIFT)
            async with contextlib.aclosing(reader.read(await reader.beginnings(places))) as records:
                async for record in records:
                    topic = self._settings.bare(record.topic)
                    if topic == EVIDENCE:
                        self.judgement.hear_report(record.value or b"")
                    elif topic == DECISIONS:
                        self.judgement.hear_decision(record.value or b"")
                    elif topic == DRIFT_SIGNALS:
                        if (signal := signal_of(record.value)) is not None:
                            self._signals.setdefault(signal.id, signal)
                    elif topic == ALERTS:
                        alert = msgspec.json.decode(record.value or b"", type=AlertFired | AlertResolved)
                        self._alerts.setdefault(alert.id, alert)
                    else:
                        (self._books if topic == ATTRIBUTION else self._judges)[record.partition].take(record)
                    self.changed.set()
        except Exception as error:  # noqa: BLE001 - it belongs to whoever waits
            self._ended = error
            self.changed.set()


@contextlib.asynccontextmanager
async def following(settings: KafkaSettings, judgement: Judgement) -> AsyncIterator[Follower]:
    """A follower that reads in the background."""
    async with log_reader(settings) as reader:
        follower = Follower(settings, judgement)
        task = asyncio.create_task(follower.follow(reader), name="follow")
        try:
            yield follower
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def wait_for(what: str, follower: Follower, stage: Stage) -> None:
    """Wait until something was read; workers that die meanwhile are started again."""
    loop = asyncio.get_running_loop()
    until = loop.time() + STALLED_S
    while not await follower.wait(_LOOK_S):
        stage.tend()
        if loop.time() > until:
            raise DependencyUnavailable(
                f"nothing has come for {STALLED_S:g} s while waiting for {what}; the workers' logs end with:\n"
                f"{stage.complaint()}"
            )
