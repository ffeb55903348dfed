"""What matured, as sums: one report for each experiment, epoch and partition, empty epochs too, in order.

Entries of an open epoch are kept by id, so that a repeat changes nothing and a better copy takes its place. When the
watermark passes an epoch's end plus grace, they are folded in (time, id) order and forgotten.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from hashlib import blake2b

import msgspec

from evenhand.codec import decoder, encode, stable_id
from evenhand.envelope import cloud_headers, float_header, integer_header
from evenhand.epochs import delay_ms
from evenhand.errors import InvalidEvent
from evenhand.events import (
    ControlChanged,
    EvidenceReported,
    MetricAttributed,
    Phase,
    PredictionMade,
    PredictionScored,
    Ticked,
)
from evenhand.experiments.evidence import Exposure, Pair, count_phases, fold
from evenhand.experiments.experiment import Experiment
from evenhand.experiments.served import Measured, served
from evenhand.partitioning import partition_of
from evenhand.processors.base import Output, Processor, Record, Row
from evenhand.processors.clusters import Clusters
from evenhand.processors.cohorts import Cohorts
from evenhand.processors.entries import Entries, Epoch, Place
from evenhand.processors.in_band import InBand
from evenhand.processors.records import decoded, read_prediction
from evenhand.processors.subjects import NEXT_ROW, Subject, Subjects
from evenhand.processors.units import Units
from evenhand.topics import EVIDENCE, PREDICTIONS, SCORED, TOPICS

SOURCE = "/evenhand/evidence"
ENTRIES_ROW = b"e/"

GONE = Pair(0, "", 0.0, {}, (0, "", "", ""))  # in the place of a pair whose better copy lies in another epoch


class Evidence(Processor):
    """Folds one partition of predictions and scored predictions."""

    name = "evidence"
    reads = (PREDICTIONS, SCORED)

    def __init__(self, partition: int, partitions: int, servers: Sequence[str] = ("inference",)) -> None:
        super().__init__(partition, partitions)
        self.in_band = InBand((*servers, "attribution"), self.name)
        self.subjects = Subjects()
        self.open: dict[tuple[str, int], Epoch] = {}
        self.units, self.cohorts, self.clusters = Units(partition, partitions), Cohorts(), Clusters()
        self._row = 0
        self._where: dict[tuple[str, str], int] = {}  # (subject, id of a pair) -> its epoch
        self._decode = {PREDICTIONS: read_prediction, SCORED: decoder(*TOPICS[SCORED].events).decode}

    def load(self, rows: Iterable[tuple[bytes, bytes]]) -> None:
        every = list(rows)
        self.in_band.load(every)
        self.subjects.load(every)
        self.units.load(every)
        self.cohorts.load(every)
        self.clusters.load(every)
        held = [(key, value) for key, value in every if key.startswith(ENTRIES_ROW)]
        for key, value in sorted(held, key=lambda row: int(row[0].rsplit(b"/", 1)[1])):
            subject, epoch, number = key.removeprefix(ENTRIES_ROW).decode().rsplit("/", 2)
            self._row = max(self._row, int(number) + 1)
            self._add(subject, int(epoch), key, msgspec.msgpack.decode(value, type=Entries))

    def rows(self) -> Iterator[tuple[bytes, bytes]]:
        yield from self.in_band.rows()
        yield from self.subjects.rows()
        yield from self.units.rows()
        yield from self.cohorts.rows()
        yield from self.clusters.rows()
        for held in self.open.values():
            yield from held.divided()

    def apply(self, topic: str, records: Sequence[Record]) -> Output:
        output = Output()
        added: dict[tuple[str, int], Entries] = {}
        for record, event in zip(records, decoded(records, self._decode[topic]), strict=True):
            if type(event) is Ticked:
                if self.in_band.hear(event):
                    self._keep(added, output)
                    added = {}
                    self._close(output)
            elif type(event) is ControlChanged:
                output.rows.update(self.subjects.hear(event, integer_header(record, "seen_at")))
            elif type(event) is not InvalidEvent:  # of which attribution tells
                self._take(topic, record, event, added)
        self._keep(added, output)
        output.rows.update(self.in_band.changed_rows())
        return output

    # Entries

    def _take(
        self,
        topic: str,
        record: Record,
        event: PredictionMade | PredictionScored | MetricAttributed,
        added: dict[tuple[str, int], Entries],
    ) -> None:
        subject = self.subjects.by_name.get(event.experiment or "")
        if subject is None or subject.experiment.model != event.model:
            return
        experiment = subject.experiment
        if isinstance(event, PredictionMade):
            delay = delay_ms(integer_header(record, "seen_at"), event.time)
        else:
            delay = event.delay_ms
        epoch = event.time // (experiment.epoch_s * 1000)
        if delay > experiment.grace_s * 1000:
            return  # late
        if epoch < subject.next_epoch:  # a repeat of what was counted, or of before the experiment
            if isinstance(event, PredictionScored):
                self._take_back(experiment.name, event, (topic, self.partition, record.offset, record.offset), added)
            return
        name = experiment.name, epoch
        entries = added.get(name)
        if entries is None:
            entries = added[name] = Entries({}, {}, (topic, self.partition, record.offset, record.offset))
        entries.place = (topic, self.partition, entries.place[2], record.offset)
        held = self.open.get(name)
        if isinstance(event, PredictionMade):
            exposure = _exposure(event, record, experiment)
            known = entries.exposures.get(event.request_id) or (held and held.exposures.get(event.request_id))
            if not known or _order(exposure) < _order(known):
                entries.exposures[event.request_id] = exposure
            return
        if isinstance(event, MetricAttributed):
            report = _measured(event)
            other = entries.measured.get(event.id) or (held and held.measured.get(event.id))
            if not other or report.rank < other.rank:
                entries.measured[event.id] = report
            return
        pair = _pair(event)
        self._replace(experiment.name, event.id, pair, epoch, added)

    def _replace(
        self, subject: str, pair_id: str, pair: Pair, epoch: int, added: dict[tuple[str, int], Entries]
    ) -> None:
        """Keep a pair unless a better copy of it is known; what it takes the place of may lie in another epoch."""
        where = self._where.get((subject, pair_id))
        if where is not None:
            fresh, held = added.get((subject, where)), self.open.get((subject, where))
            known = (fresh and fresh.pairs.get(pair_id)) or (held and held.pairs.get(pair_id))
            if known and known.rank <= pair.rank:
                return
            if where != epoch:
                gone = added.setdefault((subject, where), Entries({}, {}, added[subject, epoch].place))
                gone.pairs[pair_id] = GONE
        self._where[subject, pair_id] = epoch
        added[subject, epoch].pairs[pair_id] = pair

    def _take_back(
        self, subject: str, event: PredictionScored, place: Place, added: dict[tuple[str, int], Entries]
    ) -> None:
        """Forget a worse copy that lies in an open epoch: this one is what counts, and its epoch is no longer open."""
        where = self._where.get((subject, event.id))
        if where is None:
            return
        fresh, held = added.get((subject, where)), self.open.get((subject, where))
        known = (fresh and fresh.pairs.get(event.id)) or (held and held.pairs.get(event.id))
        if known and _pair(event).rank < known.rank:
            added.setdefault((subject, where), Entries({}, {}, place)).pairs[event.id] = GONE
            del self._where[subject, event.id]

    def _keep(self, added: dict[tuple[str, int], Entries], output: Output) -> None:
        for (subject, epoch), entries in added.items():
            if entries.exposures or entries.pairs or entries.measured:
                row = f"e/{subject}/{epoch}/{self._row}".encode()
                self._row += 1
                output.rows[row] = msgspec.msgpack.encode(entries)
                self._add(subject, epoch, row, entries)

    def _add(self, subject: str, epoch: int, row: bytes, entries: Entries) -> None:
        self.open.setdefault((subject, epoch), Epoch()).add(row, entries)
        for pair_id, pair in entries.pairs.items():
            if pair.time:
                self._where[subject, pair_id] = epoch

    # Epochs

    def _close(self, output: Output) -> None:
        watermark = self.in_band.watermark.value
        for subject in self.subjects.by_name.values():
            name, last = subject.experiment.name, subject.last_closed(watermark)
            if last >= subject.next_epoch:
                held = sorted(epoch for of, epoch in self.open if of == name and epoch <= last)
                for epoch in held:
                    if self.open[name, epoch]:  # what was in it may have moved
                        self._report(subject, subject.next_epoch, epoch - 1, None, output)
                        self._report(subject, epoch, epoch, self.open[name, epoch], output)
                        subject.next_epoch = epoch + 1
                    self._forget(name, epoch, output)
                self._report(subject, subject.next_epoch, last, None, output)
                subject.next_epoch = last + 1
                output.rows[NEXT_ROW + name.encode()] = b"%d" % subject.next_epoch
            if subject.over:
                output.rows.update(self.units.forget(name))
                output.rows.update(self.cohorts.forget(name))
                output.rows.update(self.clusters.forget(name))
                for epoch in [epoch for of, epoch in self.open if of == name]:
                    self._forget(name, epoch, output)

    def _forget(self, subject: str, epoch: int, output: Output) -> None:
        held = self.open.pop((subject, epoch))
        for pair_id in held.pairs:
            if self._where.get((subject, pair_id)) == epoch:
                del self._where[subject, pair_id]
        output.rows.update(dict.fromkeys(held.rows))

    def _report(self, subject: Subject, first: int, last: int, held: Epoch | None, output: Output) -> None:
        if last < first:
            return
        experiment = subject.experiment
        variants, phases, digest, places = {}, {}, "", []
        if held is not None:
            pairs = sorted((pair.time, pair_id) for pair_id, pair in held.pairs.items())
            ids = [*sorted(held.exposures), *(pair_id for _, pair_id in pairs), *sorted(held.measured)]
            counted = [held.pairs[pair_id] for _, pair_id in pairs]
            repeated, rows = self.clusters.count(subject, first, (pair.cluster for pair in counted))
            output.rows.update(rows)
            variants = fold(experiment, held.exposures.values(), counted, repeated)
            phases = self._phases(subject, first, held, counted, output)
            digest = blake2b("\x1f".join(ids).encode(), digest_size=16).hexdigest()
            places = [[topic, partition, *span] for (topic, partition), span in sorted(held.places.items())]
        event = EvidenceReported(
            id=stable_id("evidence", experiment.name, self.partition, first, last),
            time=(last + 1) * experiment.epoch_s * 1000,
            key=experiment.model,
            model=experiment.model,
            subject=experiment.name,
            experiment=experiment,
            partition=self.partition,
            first_epoch=first,
            last_epoch=last,
            epoch_s=experiment.epoch_s,
            variants=variants,
            phases=phases,
            digest=digest,
        )
        headers = [
            ("evidence", msgspec.json.encode(places)),
            *cloud_headers("EvidenceReported", event.id, SOURCE, event.time),
        ]
        row = Row(event.key.encode(), encode(event), headers)
        output.send(EVIDENCE, partition_of(experiment.model, self.partitions), row)

    def _phases(self, subject: Subject, epoch: int, held: Epoch, pairs: list[Pair], output: Output) -> dict[str, Phase]:
        name = subject.experiment.name
        counted = self.units.count(name, epoch, held.exposures)
        due, rows = self.cohorts.count(subject, epoch, counted.firsts, held.pairs.items())
        output.rows.update(counted.rows)
        output.rows.update(rows)
        firsts = [exposure for _, exposure in counted.firsts]
        sums = served(subject.experiment, held.exposures, [held.measured[of] for of in sorted(held.measured)])
        requests = Counter(exposure.control for exposure in held.exposures.values())
        return count_phases(self.subjects.weights(name), firsts, pairs, due, counted.crossed, sums, requests)


def _exposure(event: PredictionMade, record: Record, experiment: Experiment) -> Exposure:
    failed = {shadow.variant: shadow.error is not None for shadow in event.shadows}
    failed[event.variant] = event.error is not None
    unit = "" if event.unit == event.request_id else event.unit
    if not experiment.rule.watches_response_times:
        return Exposure(event.time, event.variant, failed, event.control, unit)
    taken_ms = float_header(record, "response_time_ms")
    return Exposure(event.time, event.variant, failed, event.control, unit, taken_ms)


def _measured(event: MetricAttributed) -> Measured:
    # Of several answers the latest counts; attribution prefers them in the same order.
    rank = -event.predicted_time, event.request_id, event.variant, event.version
    return Measured(event.time, event.name, event.value, event.variant, event.control, event.unit, rank)


def _order(exposure: Exposure) -> tuple[str, list[tuple[str, bool]]]:
    return exposure.variant, sorted(exposure.failed.items())


def _pair(event: PredictionScored) -> Pair:
    values: dict[str, float | None] = {shadow.variant: shadow.value for shadow in event.shadows}
    values[event.variant] = event.value
    served, control = (event.variant, event.control) if event.step == 1 else ("", "")
    # The order in which attribution prefers outcomes, then predictions: what it preferred last must count here, too.
    rank = event.outcome_time or event.time, event.outcome_id, event.variant, event.version
    return Pair(event.time, event.cluster, event.outcome, values, rank, served, control, event.predicted_time or 0)
