"""Alerts as the log has them: what stands open, and what was recorded, for a backtest."""

import asyncio

import msgspec
from aiokafka.structs import TopicPartition

from adapters.kafka.changelog import Loaded
from adapters.kafka.log_reader import LogReader
from adapters.recording import Recording
from evenhand.alerts.backtest import READS, Backtest, Change, Said, book
from evenhand.alerts.books import Book
from evenhand.alerts.desk import Desk
from evenhand.events import ServiceLevelReported
from evenhand.processors.alerting import DESK_ROW
from evenhand.topics import ALERTS, SERVICE_LEVELS, state_topic


async def desks(reader: LogReader) -> dict[str, Desk]:
    """By model what the alerting agent keeps."""
    places = await reader.places(state_topic("alerting").name)
    loaded = {place: Loaded() for place in places}
    async for record in reader.read(await reader.beginnings(places), await reader.ends(places)):
        loaded[TopicPartition(record.topic, record.partition)].take(record)
    found = [
        msgspec.json.decode(value, type=Desk)
        for each in loaded.values()
        for key, (value, _) in each.rows.items()
        if key.startswith(DESK_ROW)
    ]
    return {desk.model: desk for desk in found}


async def backtest(recording: Recording, change: Change | None = None) -> Said:
    """Judge a recording again, by what holds in it or by what `change` makes of that."""
    test = Backtest(recording.partitions) if change is None else Backtest(recording.partitions, change)
    async for record in recording.read(READS):
        test.take(record.topic, record.partition, record)
    return await asyncio.to_thread(test.run)


async def recorded(recording: Recording) -> Book:
    """The recorded book of alerts, and by model how far service levels had been judged."""
    alerts: list[bytes] = []
    reached: dict[str, int] = {}
    async for record in recording.read((ALERTS, SERVICE_LEVELS)):
        value = record.value or b""
        if record.topic == ALERTS:
            alerts.append(value)
        elif b'"type":"ServiceLevelReported"' in value:
            event = msgspec.json.decode(value, type=ServiceLevelReported)
            reached[event.model] = max(event.time, reached.get(event.model, event.time))
    return Book(book(alerts), reached)
