"""Reads events from topics, typed, from any place on."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from evenhand.client.connection import kafka_settings
from evenhand.client.identity import now_ms
from evenhand.client.start import AtOffsets, AtTime, Start, parse_start
from evenhand.codec import decoder
from evenhand.errors import InvalidConfiguration
from evenhand.events import ControlChanged, Event, Ticked
from evenhand.topics import IN_BAND, TOPICS

if TYPE_CHECKING:
    from aiokafka.structs import TopicPartition

    from adapters.kafka.log_reader import LogReader
    from adapters.kafka.settings import KafkaSettings

log = logging.getLogger(__name__)


class Received(NamedTuple):
    """An event and the record that it came in. `event` is None where the record is no event of its topic."""

    event: Event | None
    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]]
    reason: str = ""


async def receive(
    *topics: str,
    from_: str | Start = "latest",
    follow: bool = True,
    settings: "KafkaSettings | None" = None,
) -> AsyncGenerator[Received, None]:
    """Every record of topics (bare names) from a place on: for ever, or with `follow=False` up to what is there now."""
    for topic in topics:
        if topic not in TOPICS:
            raise InvalidConfiguration(f"there is no topic {topic!r}: they are {', '.join(TOPICS)}")
    settings = settings or kafka_settings()
    start = parse_start(from_, now_ms()) if isinstance(from_, str) else from_
    from adapters.kafka.log_reader import log_reader

    async with log_reader(settings) as reader:
        places = await reader.places(*topics)
        ends = None if follow else await reader.ends(places)
        begin = await _places(reader, places, start)
        until = None if ends is None else {place: ends[place] for place in begin}
        async with contextlib.aclosing(reader.read(begin, until)) as records:
            async for record in records:
                topic = settings.bare(record.topic)
                event, reason = _decoded(topic, record.value)
                yield Received(
                    event, topic, record.partition, record.offset, record.timestamp, record.key, record.value,
                    record.headers, reason,
                )  # fmt: skip


async def subscribe_async(
    *topics: str,
    from_: str | Start = "latest",
    follow: bool = True,
    ticks: bool = False,
    settings: "KafkaSettings | None" = None,
) -> AsyncGenerator[Event, None]:
    """The events of topics, as `subscribe` gives them, for `async for`."""
    async with contextlib.aclosing(receive(*topics, from_=from_, follow=follow, settings=settings)) as all_received:
        async for received in all_received:
            event = received.event
            if event is None:
                log.debug("%s[%d]@%d: %s", received.topic, received.partition, received.offset, received.reason)
            elif ticks or not isinstance(event, (Ticked, ControlChanged)):
                yield event


def subscribe(
    *topics: str,
    from_: str | Start = "latest",
    follow: bool = True,
    ticks: bool = False,
    settings: "KafkaSettings | None" = None,
) -> Iterator[Event]:
    """The events of topics (bare names) from a place on, in order within each partition.

    `from_` is `earliest`, `latest`, a time (ISO 8601, milliseconds, or `-15m`) or offsets (`0:120,1:98`). It goes on
    for ever, unless `follow=False` ends it at what is there now. Ticks and controls, and what is no event, are passed
    over. What is delivered at least once may come twice, with the same id.
    """
    loop = asyncio.new_event_loop()
    events = subscribe_async(*topics, from_=from_, follow=follow, ticks=ticks, settings=settings)
    try:
        while True:
            try:
                yield loop.run_until_complete(anext(events))
            except StopAsyncIteration:
                return
    finally:
        loop.run_until_complete(events.aclose())
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()


async def _places(reader: "LogReader", places: "list[TopicPartition]", start: Start) -> "dict[TopicPartition, int]":
    if isinstance(start, AtOffsets):
        begins = await reader.beginnings(places)
        named = {place: start.offsets[place.partition] for place in places if place.partition in start.offsets}
        if unknown := sorted(start.offsets.keys() - {place.partition for place in places}):
            raise InvalidConfiguration(f"there is no partition {unknown[0]}: they are 0 to {len(places) - 1}")
        return {place: max(offset, begins[place]) for place, offset in named.items()}
    if isinstance(start, AtTime):
        return await reader.at_time(places, start.time_ms)
    return await (reader.beginnings(places) if start == "earliest" else reader.ends(places))


def _decoded(topic: str, value: bytes | None) -> tuple[Event | None, str]:
    import msgspec

    if not value:
        return None, "the record is empty"
    try:
        return decoder(*_types(topic)).decode(value), ""
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        return None, str(error)


def _types(topic: str) -> tuple[type[Event], ...]:
    """What a topic may carry: everywhere in the loop ticks and controls may stand between."""
    return tuple(dict.fromkeys((*TOPICS[topic].events, *IN_BAND)))
