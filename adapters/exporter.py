"""Reads machine, processes and lag every few seconds into `metrics.v1`, and shows them with all reports to Prometheus.

Readings have the key `_host` and the time at which they were read. One exporter runs for a loop, outside the agents'
group: what it cannot read or send is logged, and delays nobody.
"""

import asyncio
import contextlib
import logging
from collections import defaultdict
from pathlib import Path
from uuid import uuid4

import msgspec
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from adapters.clock import now_ms
from adapters.errors import DependencyUnavailable
from adapters.gauges import Gauges
from adapters.kafka.log_reader import LogReader, log_reader
from adapters.kafka.settings import KafkaSettings
from adapters.loop_state import progress
from adapters.machine import Machine, Reading
from adapters.run_state import read_state
from evenhand.codec import encode
from evenhand.drift.signals import signal_of
from evenhand.events import MetricObserved, MetricReported
from evenhand.partitioning import partition_of
from evenhand.topics import DRIFT_SIGNALS, METRICS, REPORTS

HOST = "_host"
EVERY_S, AGAIN_S = 10.0, 5.0
_LOOK_BACK = 200  # reports of a partition: what was reported before this began
_SEND_S = 10.0
log = logging.getLogger(__name__)


def address_path(folder: Path) -> Path:
    """Where an exporter leaves its address."""
    return folder / "run" / "metrics-address"


async def export(settings: KafkaSettings, folder: Path, port: int, every_s: float = EVERY_S) -> None:
    """Read, send and serve for ever."""
    gauges = Gauges()
    address, end = gauges.serve(port)
    address_path(folder).parent.mkdir(parents=True, exist_ok=True)
    address_path(folder).write_text(address + "\n", encoding="utf-8")
    log.warning("metrics for Prometheus are at %s", address)
    try:
        while True:
            try:
                await _export(settings, folder, gauges, every_s)
            except* (KafkaError, DependencyUnavailable, OSError, TimeoutError) as error:
                log.warning("the log cannot be followed for now: %r", error.exceptions)
            await asyncio.sleep(AGAIN_S)
    finally:
        with contextlib.suppress(OSError):
            address_path(folder).unlink()
        await asyncio.to_thread(end)


async def _export(settings: KafkaSettings, folder: Path, gauges: Gauges, every_s: float) -> None:
    async with log_reader(settings) as reader, log_reader(settings) as asked, asyncio.TaskGroup() as tasks:
        tasks.create_task(_follow(reader, settings, gauges))
        tasks.create_task(_read(asked, settings, folder, gauges, every_s))


async def _follow(reader: LogReader, settings: KafkaSettings, gauges: Gauges) -> None:
    """Every report from the last few on, and every signal of drift: between two there are days of ticks."""
    places = await reader.places(REPORTS, DRIFT_SIGNALS)
    begins, ends = await reader.beginnings(places), await reader.ends(places)
    start = {
        place: begins[place] if settings.bare(place.topic) == DRIFT_SIGNALS else max(begins[place], end - _LOOK_BACK)
        for place, end in ends.items()
    }
    async with contextlib.aclosing(reader.read(start)) as records:
        async for record in records:
            if settings.bare(record.topic) == REPORTS:
                gauges.report(msgspec.json.decode(record.value or b"", type=MetricReported))
            elif (signal := signal_of(record.value)) is not None:
                gauges.drift(signal)


async def _read(reader: LogReader, settings: KafkaSettings, folder: Path, gauges: Gauges, every_s: float) -> None:
    machine = Machine(folder)
    producer = AIOKafkaProducer(**settings.client_kwargs(), acks="all", enable_idempotence=settings.idempotence)
    await producer.start()
    try:
        while True:
            await asyncio.sleep(every_s)
            state = read_state(folder)
            children = {} if state is None else {name: kept.pid for name, kept in state.children.items()}
            readings = machine.read(children)
            try:
                readings += await _lags(reader, settings, gauges)
                await _send(producer, settings, readings)
            except (KafkaError, DependencyUnavailable, TimeoutError) as error:
                log.warning("readings of this machine are not in the log: %r", error)
            for reading in readings:
                gauges.system(reading.process, reading.name, reading.value)
    finally:
        await producer.stop()


async def _lags(reader: LogReader, settings: KafkaSettings, gauges: Gauges) -> list[Reading]:
    """Records that wait for the agents, in all and by topic."""
    by_topic: dict[str, int] = defaultdict(int)
    for place, each in (await progress(settings, reader)).items():
        by_topic[settings.bare(place.topic)] += each.lag
    for topic, lag in by_topic.items():
        gauges.lag(topic, lag)
    return [Reading("consumer_lag_records", float(sum(by_topic.values())))]


async def _send(producer: AIOKafkaProducer, settings: KafkaSettings, readings: list[Reading]) -> None:
    time = now_ms()
    partition = partition_of(HOST, settings.partitions)
    async with asyncio.timeout(_SEND_S):
        sent = [
            await producer.send(
                settings.topic(METRICS),
                encode(
                    MetricObserved(id=uuid4().hex, time=time, key=HOST, name=reading.full_name, value=reading.value)
                ),
                key=HOST.encode(), partition=partition,
            )
            for reading in readings
        ]  # fmt: skip
        await asyncio.gather(*sent)
