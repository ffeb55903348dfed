"""A replay: the records that users, clock and control have written, once more, through workers of its own.

The copy goes partition by partition, with ticks and controls where they stood, under a topic prefix of its own. The
workers place no controls (EVENHAND_CONTROLS=given) and take response times from the recorded predictions. When
nothing is left to read, everything that follows from the copy has been decided.
"""

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from aiokafka.structs import TopicPartition

from adapters import response_times
from adapters.alert_log import recorded
from adapters.errors import DependencyUnavailable
from adapters.kafka.log_reader import LogReader, log_reader
from adapters.kafka.settings import KafkaSettings
from adapters.loop_state import Progress, progress
from adapters.recording import USERS_WRITE, Range, Recorded, Recording, Topics
from adapters.stage import Stage, stage
from evenhand.alerts.books import Book, Compared
from evenhand.alerts.books import compare as compare_alerts
from evenhand.codec import decode
from evenhand.comparison import Comparison, SignalLog, compare, compare_signals
from evenhand.envelope import NEVER, float_header
from evenhand.errors import InvalidEvent, ModelUnavailable
from evenhand.events import ControlChanged, Event, PredictionMade, Ticked
from evenhand.judgement import Judgement
from evenhand.processors.base import Row
from evenhand.processors.records import read_prediction
from evenhand.topics import (
    DECISIONS,
    DRIFT_SIGNALS,
    EVIDENCE,
    METRICS,
    OUTCOMES,
    PREDICTIONS,
    REQUESTS,
    STATEFUL,
    TOPICS,
)
from models.store import ModelStore

READ = {name for name, topic in TOPICS.items() if set(topic.read_by) & (set(STATEFUL) - {"control"})}
TICKED = (REQUESTS, OUTCOMES, METRICS)
STALLED_S = 120.0
_AT_ONCE, _LOOK_S, _SAY_S = 5000, 0.5, 5.0


class Setting(NamedTuple):
    """Where a replay plays: settings with its prefix, its own folder, that of the models, and its workers."""

    kafka: KafkaSettings
    folder: Path
    models_home: Path
    workers: int
    environment: Mapping[str, str]
    root: Path


class Copy:
    """What was copied: how far event time comes in it, and the controls that stand in it."""

    def __init__(self, partitions: int) -> None:
        self.records = 0
        self.controls: dict[str, ControlChanged] = {}  # by id
        self._ticks = {(topic, partition): NEVER for topic in TICKED for partition in range(partitions)}

    @property
    def watermark(self) -> int:
        """The least, over all partitions, of the greatest tick."""
        return min(self._ticks.values())

    @property
    def versions(self) -> set[tuple[str, str]]:
        """Each model and version that a control in the copy lets answer."""
        return {(control.model, version) for control in self.controls.values() for version in _versions(control)}

    def see(self, record: Recorded) -> None:
        """Take a record that is copied."""
        self.records += 1
        value = record.value or b""
        if (record.topic, record.partition) not in self._ticks or not (
            b"Ticked" in value or b"ControlChanged" in value
        ):
            return
        try:
            event: Event = decode(record.topic, value)
        except InvalidEvent:  # it becomes a dead letter again
            return
        if isinstance(event, Ticked):
            at = record.topic, record.partition
            self._ticks[at] = max(self._ticks[at], event.time)
        elif isinstance(event, ControlChanged):
            self.controls.setdefault(event.id, event)


async def replay(
    recording: Recording, within: Range, at: Setting, say: Callable[[str], None]
) -> tuple[Copy, Comparison, Compared]:
    """Play a recording again and compare decisions and alerts. Nothing of it is left on the broker."""
    times = at.folder / "response-times.npz"
    await keep_response_times(recording, times)
    async with stage(
        at.kafka, at.folder, models_home=at.models_home, workers=at.workers, root=at.root, say=say,
        environment={**at.environment, "EVENHAND_RESPONSE_TIMES": str(times)},
    ) as on:  # fmt: skip
        copy = await _copy(recording, within, on, ModelStore(at.models_home / "models"))
        say(f"{copy.records:,} records copied; everything is decided again")
        await until_done(on, say)
        async with log_reader(at.kafka) as reader:
            again = Topics(at.kafka, reader)
            replayed, alerts, signals = await judged(again), await recorded(again), await signalled(again)
    before = await recorded(recording) if within.start_ms is None else Book([], {})
    compared = compare(await judged(recording), replayed, copy.watermark, copy.controls.values())
    if within.start_ms is None:  # else what had been learned of what is normal is not in the copy
        compared.drift = compare_signals(await signalled(recording), signals)
    return copy, compared, compare_alerts(before, alerts)


async def _copy(recording: Recording, within: Range, on: Stage, store: ModelStore) -> Copy:
    copy, rows = Copy(recording.partitions), defaultdict[tuple[str, int], list[Row]](list)
    checked = 0
    async for record in recording.read(USERS_WRITE, within):
        copy.see(record)
        if len(copy.controls) > checked:
            checked = len(copy.controls)
            _check_versions(copy, store)
        rows[record.topic, record.partition].append(Row(record.key, record.value, list(record.headers)))
        if not copy.records % _AT_ONCE:
            await on.write.append(rows)
            rows.clear()
            on.tend()
    await on.write.append(rows)
    return copy


def _check_versions(copy: Copy, store: ModelStore) -> None:
    missing = sorted(f"{model} {version}" for model, version in copy.versions if version not in store.versions(model))
    if missing:
        raise ModelUnavailable(
            f"{', '.join(missing)} answered in the recording, and {store.root} has no such version: "
            "`evenhand models train` trains those that are declared; copy the others from where they were served"
        )


async def keep_response_times(recording: Recording, path: Path) -> None:
    """Write how long each recorded answer took, where the workers of a replay look for it."""
    times: dict[str, float] = {}
    async for record in recording.read((PREDICTIONS,)):
        if b'"Ticked"' in (record.value or b"") or b'"ControlChanged"' in (record.value or b""):
            continue
        took = float_header(record, "response_time_ms")
        if took is not None:
            made = read_prediction(record.value or b"")
            if isinstance(made, PredictionMade):
                times.setdefault(made.request_id, took)
    response_times.record(path, times)


async def judged(recording: Recording) -> Judgement:
    """What was reported and decided."""
    judgement = Judgement(recording.partitions)
    async for record in recording.read((EVIDENCE, DECISIONS)):
        (judgement.hear_report if record.topic == EVIDENCE else judgement.hear_decision)(record.value or b"")
    return judgement


async def signalled(recording: Recording) -> SignalLog:
    """What was said of drift; nothing where the recording has no such topic."""
    found = SignalLog()
    with contextlib.suppress(DependencyUnavailable, KeyError):
        async for record in recording.read((DRIFT_SIGNALS,)):
            found.hear(record.value or b"")
    return found


async def until_done(stage: Stage, say: Callable[[str], None]) -> None:
    """Wait until the workers have read everything that there is; those that die are started again.

    All is done when every reader had come to where its topic ended before and still ends afterwards: whatever was in
    work has then been sent on, and read by those behind.
    """
    loop = asyncio.get_running_loop()
    async with log_reader(stage.settings) as reader:
        before = await _progress(stage, reader)
        moved_at = said_at = loop.time()
        while True:
            stage.tend()
            await asyncio.sleep(_LOOK_S)
            now = await _progress(stage, reader)
            waiting = sum(each.lag for each in now.values())
            if not waiting and now == before:
                return
            if now != before:
                moved_at = loop.time()
            elif loop.time() - moved_at > STALLED_S:
                raise DependencyUnavailable(
                    f"nothing has moved for {STALLED_S:g} s, and {waiting} records wait; the workers' logs end with:\n"
                    f"{stage.complaint()}"
                )
            if loop.time() - said_at > _SAY_S:
                said_at = loop.time()
                say(f"{waiting:,} records wait")
            before = now


async def _progress(stage: Stage, reader: LogReader) -> dict[TopicPartition, Progress]:
    """How far the agents that run have come: all but control."""
    every = await progress(stage.settings, reader)
    return {place: each for place, each in every.items() if stage.settings.bare(place.topic) in READ}


def _versions(control: ControlChanged) -> Iterator[str]:
    yield control.served.champion
    if control.served.experiment is not None:
        yield from (variant.version for variant in control.served.experiment.variants)
