"""Candles from a topic of the user's own: records of JSON, one candle each, from a range of offsets."""

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from aiokafka.structs import TopicPartition

from adapters.kafka.log_reader import log_reader
from adapters.kafka.settings import KafkaSettings
from evenhand.errors import EvenhandError

Offsets = Mapping[int, tuple[int, int | None]]  # partition to the first offset and the one after the last


class Spread(NamedTuple):
    """What was read of a partition: from the first to the last offset, both included."""

    partition: int
    first: int
    last: int


class CandleLog(NamedTuple):
    """Records as they came, by partition and offset, where they lie, and how many said what one before had said."""

    topic: str
    records: list[dict[str, Any]]
    spreads: list[Spread]
    repeats: int


def offsets(text: str) -> Offsets:
    """Read ranges: partition:first-end with commas between, the end not included; without an end, up to the end.

    >>> offsets("0:100-200,2:5-")
    {0: (100, 200), 2: (5, None)}
    """
    found: dict[int, tuple[int, int | None]] = {}
    for part in text.split(","):
        partition, _, span = part.strip().partition(":")
        first, dash, end = span.partition("-")
        if not (partition.isdigit() and first.isdigit() and dash and (end.isdigit() or not end)):
            raise EvenhandError(f"offsets {part!r} are not PARTITION:FIRST-END, such as 0:100-200 or 0:100-")
        found[int(partition)] = (int(first), int(end) if end else None)
    return found


async def read_candle_log(
    settings: KafkaSettings, topic: str, key: str | None = None, ranges: Offsets | None = None
) -> CandleLog:
    """Read the candles of one series. Records that say the same as one before, as after a restart, count once.

    Raises EvenhandError for a record that is no JSON object, with its partition and offset, and where a topic holds
    several series and none is named.
    """
    async with log_reader(settings) as reader:
        places = await reader.places(topic)
        begins, ends = await reader.beginnings(places), await reader.ends(places)
        start, end = _bounds(places, begins, ends, ranges)
        seen: dict[int, tuple[int, int]] = {}
        known: set[bytes] = set()
        keys: set[bytes | None] = set()
        records: list[tuple[int, int, dict[str, Any]]] = []
        repeats = 0
        async for record in reader.read(start, end):
            if key is not None and record.key != key.encode():
                continue
            keys.add(record.key)
            first, _ = seen.get(record.partition, (record.offset, 0))
            seen[record.partition] = (first, record.offset)
            if record.value in known:
                repeats += 1
                continue
            known.add(record.value)
            records.append((record.partition, record.offset, _candle(topic, record)))
    if len(keys) > 1:
        names = ", ".join(sorted((one or b"(none)").decode(errors="replace") for one in keys)[:10])
        raise EvenhandError(f"{topic} holds {len(keys)} series: name one by --key. Its keys are {names}")
    if not records:
        raise EvenhandError(f"{topic}: no record{f' with key {key!r}' if key else ''} lies in that range")
    records.sort(key=lambda one: one[:2])
    spreads = [Spread(partition, *span) for partition, span in sorted(seen.items())]
    return CandleLog(topic, [candle for _, _, candle in records], spreads, repeats)


def _bounds(
    places: list[TopicPartition], begins: dict[TopicPartition, int], ends: dict[TopicPartition, int],
    ranges: Offsets | None,
) -> tuple[dict[TopicPartition, int], dict[TopicPartition, int]]:  # fmt: skip
    if ranges is None:
        return begins, ends
    by_number = {place.partition: place for place in places}
    start, end = {}, {}
    for partition, (first, last) in ranges.items():
        place = by_number.get(partition)
        if place is None:
            raise EvenhandError(f"{places[0].topic} has no partition {partition}; it has {len(places)}")
        stop = ends[place] if last is None else last
        if first < begins[place] or stop > ends[place]:
            raise EvenhandError(
                f"{place.topic}[{partition}] holds offsets {begins[place]} to {ends[place]} (exclusive), not {first} "
                f"to {stop}: what retention has taken away cannot be learned from"
            )
        start[place], end[place] = first, stop
    return start, end


def _candle(topic: str, record: Any) -> dict[str, Any]:
    try:
        found = json.loads(record.value or b"")
    except ValueError as error:
        raise EvenhandError(f"{topic}[{record.partition}] offset {record.offset}: no JSON: {error}") from error
    if not isinstance(found, dict):
        raise EvenhandError(f"{topic}[{record.partition}] offset {record.offset}: no JSON object")
    return found
