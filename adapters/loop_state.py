"""How the running loop stands, from the log alone: what holds, the books, how far behind readers are, what is late."""

from collections.abc import Iterable

import msgspec
from aiokafka.structs import TopicPartition

from adapters.kafka.changelog import Loaded
from adapters.kafka.log_reader import LogReader, committed
from adapters.kafka.rows import read_term
from adapters.kafka.settings import KafkaSettings
from evenhand.codec import decoder
from evenhand.envelope import integer_header
from evenhand.epochs import delay_ms
from evenhand.events import ControlChanged, MetricObserved, OutcomeObserved, PredictionMade, Ticked
from evenhand.processors.control_log import PREFIX
from evenhand.processors.counts import COUNTS_ROW, Counts
from evenhand.topics import OBSERVATIONS, PREDICTIONS, STATEFUL, TOPICS, state_topic

GROUP = "evenhand"
CONSUMED = tuple(name for name, topic in TOPICS.items() if set(topic.read_by) & set(STATEFUL))
_GRACE_MS = 60_000
_TAIL, _FARTHER = 64, 16
_EVENTS = decoder(PredictionMade, OutcomeObserved, MetricObserved, Ticked, ControlChanged)


class Progress(msgspec.Struct):
    """One partition of a topic that agents read."""

    end: int
    committed: int

    @property
    def lag(self) -> int:
        """Records that wait."""
        return max(0, self.end - self.committed)


class Lateness(msgspec.Struct):
    """Of the last events of users: how many there were, and how many stood behind the ticks by more than the grace."""

    events: int = 0
    late: int = 0
    oldest_ms: int | None = None


def group(settings: KafkaSettings) -> str:
    """The consumer group of the agents."""
    return settings.topic_prefix + GROUP


async def progress(settings: KafkaSettings, reader: LogReader) -> dict[TopicPartition, Progress]:
    """How far the agents have come in every partition that they read, or where it begins if they committed nothing."""
    places = await reader.places(*CONSUMED)
    ends, begins = await reader.ends(places), await reader.beginnings(places)
    done = await committed(settings, group(settings), places)
    return {place: Progress(ends[place], done.get(place, begins[place])) for place in places}


async def holding(reader: LogReader) -> dict[str, ControlChanged]:
    """The control that holds for each model, as the control agent keeps it."""
    found: dict[str, ControlChanged] = {}
    places = await reader.places(state_topic("control").name)
    ends = await reader.ends(places)
    loaded = {place: Loaded() for place in places}
    async for record in reader.read(await reader.beginnings(places), ends):
        loaded[TopicPartition(record.topic, record.partition)].take(record)
    for each in loaded.values():
        for key, (value, _) in each.rows.items():
            if key.startswith(PREFIX):
                control = decoder(ControlChanged).decode(value)
                found[control.model] = control
    return found


async def books(reader: LogReader) -> Counts:
    """The counts of attribution, over all partitions. Its row is near the end, so that only the end is read."""
    places = await reader.places(state_topic("attribution").name)
    begins, count, left = await reader.beginnings(places), _TAIL, list(places)
    total = Counts()
    while left:
        tails = await reader.last(left, count)
        for place in list(left):
            rows = [
                (read_term(record.headers), record.offset, record.value)
                for record in tails[place]
                if record.key == COUNTS_ROW
            ]
            if rows:
                total = added(total, msgspec.json.decode(max(rows)[2] or b"{}", type=Counts))
            if rows or not tails[place] or tails[place][0].offset <= begins[place]:
                left.remove(place)
        count *= _FARTHER
    return total


def added(one: Counts, other: Counts) -> Counts:
    """The sum of two partitions' counts."""
    return Counts(*(a + b for a, b in zip(msgspec.structs.astuple(one), msgspec.structs.astuple(other), strict=True)))


async def lateness(reader: LogReader, count: int = 100) -> Lateness:
    """Look at the last records that users' events have led to: `count` a partition."""
    tails = await reader.last(await reader.places(PREDICTIONS, OBSERVATIONS), count)
    found = Lateness()
    for records in tails.values():
        for record in records:
            event = _EVENTS.decode(record.value or b"{}")
            seen_at = integer_header(record, "seen_at")
            if isinstance(event, (Ticked, ControlChanged)) or seen_at < 0:
                continue
            grace_ms = event.grace_s * 1000 if isinstance(event, PredictionMade) else _GRACE_MS
            found.events += 1
            if delay_ms(seen_at, event.time) > grace_ms:
                found.late += 1
                found.oldest_ms = event.time if found.oldest_ms is None else min(found.oldest_ms, event.time)
    return found


def lag_of(partitions: Iterable[int], at: dict[TopicPartition, Progress]) -> int:
    """Records that wait in partitions of these numbers, over all topics."""
    numbers = set(partitions)
    return sum(each.lag for place, each in at.items() if place.partition in numbers)
