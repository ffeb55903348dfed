"""Outcomes and metrics: checked, stamped with the last tick before them, and put where their key belongs."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from evenhand.codec import decode
from evenhand.envelope import cloud_headers
from evenhand.errors import InvalidEvent
from evenhand.events import MetricObserved, OutcomeObserved, Ticked
from evenhand.partitioning import partitions_of
from evenhand.processors.base import Output, Processor, Record, Row
from evenhand.processors.dead_letter import dead_letter
from evenhand.processors.entry import CLOCK_ROW, MAX_AHEAD_MS, Clock, Route
from evenhand.topics import DEAD_LETTERS, METRICS, OBSERVATIONS, OUTCOMES

SOURCE = "/evenhand/intake"


class Intake(Processor):
    """The entry agent of outcomes and metrics."""

    name = "intake"
    reads = (OUTCOMES, METRICS)

    def __init__(self, partition: int, partitions: int) -> None:
        super().__init__(partition, partitions)
        self.clock = Clock()

    def load(self, rows: Iterable[tuple[bytes, bytes]]) -> None:
        self.clock.load(rows)

    def rows(self) -> Iterator[tuple[bytes, bytes]]:
        yield from self.clock.rows()

    def apply(self, topic: str, records: Sequence[Record]) -> Output:
        output = Output()
        route = Route(output, OBSERVATIONS, self.partitions, f"{topic}/{self.partition}", self.clock.seen_at(topic))
        events: list[Any] = []
        for record in records:
            try:
                events.append(decode(topic, record.value))
            except InvalidEvent as error:
                events.append(error)
        observed = (OutcomeObserved, MetricObserved)
        places = iter(partitions_of([e.key.encode() for e in events if type(e) in observed], self.partitions))
        for record, event in zip(records, events, strict=True):
            if type(event) is Ticked:
                route.tick(event.time)
                continue
            reason = str(event)
            if type(event) in observed:
                place = next(places)
                if route.seen_at < 0 or event.time <= route.seen_at + MAX_AHEAD_MS:
                    headers = [
                        ("seen_at", b"%d" % route.seen_at),
                        *cloud_headers(type(event).__name__, event.id, SOURCE, event.time),
                    ]
                    route.send(place, Row(event.key.encode(), record.value, headers))
                    continue
                reason = f"time {event.time} is more than a day ahead of the log, which has come to {route.seen_at}"
            output.send(DEAD_LETTERS, self.partition, dead_letter(topic, self.partition, record, reason))
        route.finish()
        if route.seen_at != self.clock.seen_at(topic):
            self.clock.seen[topic] = route.seen_at
            output.rows[CLOCK_ROW + topic.encode()] = b"%d" % route.seen_at
        return output
