"""Sums and samples of what is served: one report for each model, epoch and partition, empty epochs too, in order.

Requests bring the features, predictions the answers and how long they took, scored predictions the losses, users and
workers readings. Entries of an open epoch are kept as columns and folded when the watermark passes its end plus grace;
of features, which are many, a sample is kept (drift/lowest.py).
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import msgspec
import numpy as np

from evenhand.codec import decoder, encode, stable_id
from evenhand.envelope import NEVER, cloud_headers, float_header, integer_header
from evenhand.events import (
    ControlChanged,
    EpochMeasured,
    PredictionMade,
    PredictionScored,
    SampledRow,
    Ticked,
    VersionMeasured,
)
from evenhand.partitioning import partition_of
from evenhand.processors.base import Output, Processor, Record, Row
from evenhand.processors.columns import number_of
from evenhand.processors.in_band import InBand
from evenhand.processors.labels import Labels
from evenhand.processors.measured import ENTRIES_ROW, GONE_ROW, Batch, OpenEpoch, fold
from evenhand.processors.policies import Policies, Policy
from evenhand.processors.readings import Readings
from evenhand.processors.records import decoded, read_prediction
from evenhand.processors.sampled_features import features_of
from evenhand.processors.subjects import NEXT_ROW
from evenhand.topics import (
    ASSIGNMENTS,
    MEASUREMENTS,
    METRICS,
    OBSERVATIONS,
    OUTCOMES,
    PREDICTIONS,
    REQUESTS,
    SCORED,
    TOPICS,
)

SOURCE = "/evenhand/measurement"


class Asked(msgspec.Struct, gc=False):
    """Of a request what is measured; its features are read only if they come into the sample."""

    id: str
    time: int
    key: str
    model: str
    features: msgspec.Raw


class Assigned(msgspec.Struct, tag_field="type", tag="RequestAssigned", gc=False):
    """Of a RequestAssigned what is measured."""

    request: Asked


ASKED = b'{"type":"RequestAssigned"'  # not worth reading where no policy has a use for features


class Measurement(Processor):
    """Measures one partition of everything that is served."""

    name = "measurement"
    reads = (ASSIGNMENTS, PREDICTIONS, OBSERVATIONS, SCORED)

    def __init__(self, partition: int, partitions: int, servers: Sequence[str] = ("inference",)) -> None:
        super().__init__(partition, partitions)
        entries = [f"{topic}/{p}" for topic in (REQUESTS, OUTCOMES, METRICS) for p in range(partitions)]
        self.in_band = InBand((*servers, "attribution", *entries), self.name)
        self.policies, self.labels, self.readings = Policies(), Labels(), Readings()
        self.open: dict[tuple[str, int], OpenEpoch] = {}
        self._row = 0
        self._decode = {
            ASSIGNMENTS: decoder(Assigned, Ticked, ControlChanged).decode,
            PREDICTIONS: read_prediction,
            SCORED: decoder(*TOPICS[SCORED].events).decode,
        }

    def load(self, rows: Iterable[tuple[bytes, bytes]]) -> None:
        every = list(rows)
        self.in_band.load(every)
        self.policies.load(every)
        self.labels.load(every)
        self.readings.load(every)
        held = [(key, value) for key, value in every if key.startswith((ENTRIES_ROW, GONE_ROW))]
        for key, value in sorted(held, key=lambda row: int(row[0].rsplit(b"/", 1)[1])):
            name, epoch, number = key[len(ENTRIES_ROW) :].decode().rsplit("/", 2)
            self._row = max(self._row, int(number) + 1)
            policy = self.policies.by_name.get(name)
            if policy is not None:
                self._epoch(policy, int(epoch)).load(key, value)

    def rows(self) -> Iterator[tuple[bytes, bytes]]:
        yield from self.in_band.rows()
        yield from self.policies.rows()
        yield from self.labels.rows()
        yield from self.readings.rows()
        for held in self.open.values():
            yield from held.rows.items()

    def apply(self, topic: str, records: Sequence[Record]) -> Output:
        output, batch = Output(), Batch(topic, self.partition)
        if topic == OBSERVATIONS:
            self._apply_readings(records, output)
            return output
        for record, event in self._read(topic, records):
            kind = type(event)
            if kind is PredictionMade:
                self._take_made(record, event, batch)
            elif kind is PredictionScored:
                self._take_scored(record, event, batch)
            elif kind is Assigned:
                self._take_asked(record, event.request, batch)
            elif kind is Ticked:
                if self.in_band.hear(event):
                    self._keep(batch, output)
                    batch = Batch(topic, self.partition)
                    self._close(output)
            elif kind is ControlChanged:
                output.rows.update(self.policies.hear(event, integer_header(record, "seen_at")))
        self._keep(batch, output)
        output.rows.update(self.in_band.changed_rows())
        return output

    def _read(self, topic: str, records: Sequence[Record]) -> Iterator[tuple[Record, Any]]:
        decode = self._decode[topic]
        if topic != ASSIGNMENTS:
            yield from zip(records, decoded(records, decode), strict=True)
            return
        for record in records:
            value = record.value or b""
            if self.policies.wants_features or not value.startswith(ASKED):
                yield record, decode(value)

    def _apply_readings(self, records: Sequence[Record], output: Output) -> None:
        for record in records:
            tick = self.readings.take(record, self.policies)
            if tick is not None and self.in_band.hear(tick):
                output.rows.update(self.readings.keep())
                self._close(output)
        output.rows.update(self.readings.keep())
        output.rows.update(self.in_band.changed_rows())

    # Entries

    def _take_made(self, record: Record, event: PredictionMade, batch: Batch) -> None:
        time = event.time
        for policy in self.policies.of_model.get(event.model, ()):
            seen_at, request = integer_header(record, "seen_at", NEVER), number_of(event.request_id)
            late = seen_at - time > policy.grace_ms
            # What is late is counted where it was seen: it may be gone by the time at which its epoch closes.
            epoch = (seen_at if late else time) // policy.epoch_ms
            if epoch < policy.next_epoch or policy.is_over:
                continue
            fresh = batch.of(policy, epoch, record.offset)
            if late:
                fresh.late.append(request)
            else:
                ms = float_header(record, "response_time_ms")
                fresh.made(event, request, policy.cluster(event.key, time, request), ms)

    def _take_scored(self, record: Record, event: PredictionScored, batch: Batch) -> None:
        asked = event.time if event.predicted_time is None else event.predicted_time
        for policy in self.policies.of_model.get(event.model, ()):
            if policy.is_over:
                continue
            request, epoch = number_of(event.request_id), event.time // policy.epoch_ms
            if event.predicted_time is not None:
                batch.matured[policy.name].append((asked // policy.epoch_ms, request))
            if epoch >= policy.next_epoch and event.delay_ms <= policy.grace_ms:
                fresh = batch.of(policy, epoch, record.offset)
                fresh.scored(event, asked, policy.cluster(event.key, asked, request))

    def _take_asked(self, record: Record, asked: Asked, batch: Batch) -> None:
        for policy in self.policies.of_model.get(asked.model, ()):
            epoch, late = asked.time // policy.epoch_ms, integer_header(record, "seen_at", NEVER) - asked.time
            if epoch >= policy.next_epoch and late <= policy.grace_ms and not policy.is_over:
                self._take_features(policy, epoch, asked, number_of(asked.id), record.offset, batch)

    def _take_features(self, policy: Policy, epoch: int, asked: Asked, request: int, offset: int, batch: Batch) -> None:
        drift = policy.monitoring.drift
        if drift is None or "inputs" not in drift.watched or not drift.features:
            return
        held = self._epoch(policy, epoch)
        cluster = f"{policy.cluster(asked.key, asked.time, request):016x}"
        if not held.inputs.wants(cluster, asked.time):
            return
        values = features_of(asked.features, drift)
        if values is not None:
            row = SampledRow(cluster, asked.time, values)
            if held.inputs.add(row):
                batch.of(policy, epoch, offset).inputs.append(row)

    def _epoch(self, policy: Policy, epoch: int) -> OpenEpoch:
        held = self.open.get((policy.name, epoch))
        if held is None:
            held = self.open[policy.name, epoch] = OpenEpoch(policy.monitoring)
        return held

    def _keep(self, batch: Batch, output: Output) -> None:
        for (name, epoch), fresh in batch.fresh.items():
            key = f"e/{name}/{epoch}/{self._row}".encode()
            self._row += 1
            held, entries = self._epoch(self.policies.by_name[name], epoch), fresh.entries()
            output.rows[key] = held.rows[key] = msgspec.msgpack.encode(entries)
            held.take(entries)
        output.rows.update(self.labels.keep(batch))

    # Epochs

    def _close(self, output: Output) -> None:
        watermark = self.in_band.watermark.value
        for policy in list(self.policies.by_name.values()):
            last = policy.last_closed(watermark)
            if last < policy.next_epoch:
                continue
            while (epoch := self._next_with_data(policy, last)) is not None:
                self._report_silence(policy, epoch - 1, output)
                self._report(policy, epoch, epoch, output)
                policy.next_epoch = epoch + 1
            self._report_silence(policy, last, output)
            policy.next_epoch = last + 1
            output.rows[NEXT_ROW + policy.name.encode()] = b"%d" % policy.next_epoch
            if policy.is_over:
                self._forget(policy, output)
        for event in self.readings.close(watermark, self.partition, self.policies, output.rows):
            self._send(event, [], output)

    def _next_with_data(self, policy: Policy, last: int) -> int | None:
        open_ = {epoch for of, epoch in self.open if of == policy.name}
        known = open_ | self.readings.epochs(policy.name, last) | self.labels.due(policy, last)
        return min((epoch for epoch in known if policy.next_epoch <= epoch <= last), default=None)

    def _forget(self, policy: Policy, output: Output) -> None:
        """What stood in epochs that no longer count."""
        for place in [place for place in self.open if place[0] == policy.name]:
            output.rows.update(dict.fromkeys(self.open.pop(place).rows))
        output.rows.update(self.labels.forget(policy.name))
        output.rows.update(self.readings.forget(policy.name))

    def _report_silence(self, policy: Policy, last: int, output: Output) -> None:
        if policy.next_epoch <= last:
            for first, end in policy.spans(policy.next_epoch, last):
                self._report(policy, first, end, output)

    def _report(self, policy: Policy, first: int, last: int, output: Output) -> None:
        monitoring, champion = policy.rules(last), policy.champion(last)
        held = self.open.pop((policy.name, last), None)
        versions: dict[str, VersionMeasured] = {}
        inputs: tuple[SampledRow, ...] = ()
        late, digest, places = 0, "", list[list[Any]]()
        if first == last:
            missing = self.labels.told(policy, last, output.rows)
            readings = self.readings.told(policy.name, last, output.rows)
            versions = fold(held, champion, missing, readings)
            if held is not None:
                ids = np.unique(held.unpacked("scored")[0]["id"])
                for (of, at), later in self.open.items():
                    if of == policy.name and at > last:
                        output.rows.update(later.drop(ids))
                output.rows.update(self.labels.made(policy, last, held))
                inputs, late, digest, places = held.inputs.rows(), len(held.late), held.digest(), held.where()
                output.rows.update(dict.fromkeys(held.rows))
        event = EpochMeasured(
            id=stable_id("measured", policy.name, self.partition, first, last),
            time=(last + 1) * monitoring.epoch_s * 1000, key=policy.model, model=policy.model, subject=policy.name,
            partition=self.partition, first_epoch=first, last_epoch=last, epoch_s=monitoring.epoch_s,
            champion=champion, monitoring=msgspec.structs.replace(monitoring, host=None), inputs=inputs,
            versions=versions, late=late, digest=digest,
        )  # fmt: skip
        self._send(event, places, output)

    def _send(self, event: EpochMeasured, places: list[list[Any]], output: Output) -> None:
        headers = [
            ("evidence", msgspec.json.encode(places)),
            *cloud_headers("EpochMeasured", event.id, SOURCE, event.time),
        ]
        row = Row(event.key.encode(), encode(event), headers)
        output.send(MEASUREMENTS, partition_of(event.model, self.partitions), row)
