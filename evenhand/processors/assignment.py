"""Requests to versions: who answers, and who predicts in shadow, by the control that holds there in the log."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import msgspec

from evenhand.codec import decode, encode, stable_id
from evenhand.envelope import cloud_headers
from evenhand.errors import InvalidEvent
from evenhand.events import Arm, ControlChanged, PredictionRequested, RequestAssigned, Ticked
from evenhand.experiments.assignment import Ring
from evenhand.experiments.experiment import Experiment, Variant
from evenhand.partitioning import partitions_of
from evenhand.processors.base import Output, Processor, Record, Row
from evenhand.processors.control_log import ControlLog
from evenhand.processors.dead_letter import dead_letter
from evenhand.processors.entry import CLOCK_ROW, MAX_AHEAD_MS, Clock, Route
from evenhand.topics import ASSIGNMENTS, DEAD_LETTERS, REQUESTS

SOURCE = "/evenhand/assignment"
_NOBODY: tuple[Arm, ...] = ()


class Assignment(Processor):
    """The entry agent of prediction requests."""

    name = "assignment"
    reads = (REQUESTS,)

    def __init__(self, partition: int, partitions: int) -> None:
        super().__init__(partition, partitions)
        self.clock, self.controls = Clock(), ControlLog()
        self._rings: dict[str, Ring] = {}
        self._shadows: dict[tuple[str, str], tuple[Arm, ...]] = {}

    def load(self, rows: Iterable[tuple[bytes, bytes]]) -> None:
        every = list(rows)
        self.clock.load(every)
        self.controls.load(every)

    def rows(self) -> Iterator[tuple[bytes, bytes]]:
        yield from self.clock.rows()
        yield from self.controls.rows()

    def apply(self, topic: str, records: Sequence[Record]) -> Output:
        output, source = Output(), f"{topic}/{self.partition}"
        route = Route(output, ASSIGNMENTS, self.partitions, source, self.clock.seen_at(topic))
        events: list[Any] = []
        for record in records:
            try:
                events.append(decode(topic, record.value))
            except InvalidEvent as error:
                events.append(error)
        places = iter(
            partitions_of([e.key.encode() for e in events if type(e) is PredictionRequested], self.partitions)
        )
        for record, event in zip(records, events, strict=True):
            if type(event) is PredictionRequested:
                place = next(places)
                try:
                    row = self._assigned(event, record, route.seen_at)
                except InvalidEvent as error:
                    output.send(DEAD_LETTERS, self.partition, dead_letter(topic, self.partition, record, str(error)))
                else:
                    route.send(place, row)
            elif type(event) is Ticked:
                route.tick(event.time)
            elif type(event) is ControlChanged:
                output.rows.update(self.controls.take(event))
                self._rings.clear()
                self._shadows.clear()
                row = self._forwarded(event, source, route.seen_at)
                for place in range(self.partitions):
                    route.send(place, row)
            else:
                output.send(DEAD_LETTERS, self.partition, dead_letter(topic, self.partition, record, str(event)))
        route.finish()
        if route.seen_at != self.clock.seen_at(topic):
            self.clock.seen[topic] = route.seen_at
            output.rows[CLOCK_ROW + topic.encode()] = b"%d" % route.seen_at
        return output

    def _assigned(self, request: PredictionRequested, record: Record, seen_at: int) -> Row:
        control = self.controls.holding.get(request.model)
        if control is None:
            known = sorted(self.controls.holding)
            raise InvalidEvent(f"no model {request.model!r} is served here, these are: {known}")
        if seen_at >= 0 and request.time > seen_at + MAX_AHEAD_MS:
            raise InvalidEvent(f"time {request.time} is more than a day ahead of the log, which has come to {seen_at}")
        served, unit = control.served, request.unit or request.id
        experiment = served.experiment
        if experiment is None:
            chosen, name, shadows = Variant(name="champion", version=served.champion, weight=1), None, _NOBODY
        else:
            name = experiment.name
            ring = self._rings.get(name)
            if ring is None:
                ring = self._rings[name] = Ring(experiment)
            chosen = ring.assign(unit)
            shadows = self._others(experiment, chosen.name)
        event = RequestAssigned(
            id=stable_id("assigned", request.id, control.digest),
            time=request.time,
            key=request.key,
            request=request,
            unit=unit,
            variant=chosen.name,
            version=chosen.version,
            experiment=name,
            shadows=shadows,
            control=control.digest,
            wait_s=served.wait_s,
            grace_s=60 if experiment is None else experiment.grace_s,
        )
        headers = [
            ("seen_at", b"%d" % seen_at),
            ("received_at", b"%d" % record.timestamp),
            *cloud_headers("RequestAssigned", event.id, SOURCE, event.time),
        ]
        return Row(request.key.encode(), encode(event), headers)

    def _others(self, experiment: Experiment, variant: str) -> tuple[Arm, ...]:
        cached = self._shadows.get((experiment.name, variant))
        if cached is None:
            cached = tuple(
                Arm(variant=other.name, version=other.version) for other in experiment.variants if other.name != variant
            )
            self._shadows[experiment.name, variant] = cached
        return cached

    @staticmethod
    def _forwarded(control: ControlChanged, source: str, seen_at: int) -> Row:
        copy = msgspec.structs.replace(control, source=source)
        headers = [("seen_at", b"%d" % seen_at), *cloud_headers("ControlChanged", copy.id, source, copy.time)]
        return Row(control.model.encode(), encode(copy), headers)
