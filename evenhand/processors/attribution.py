"""Predictions and outcomes, joined in either order; what is late, repeated, conflicting or never comes is counted.

A pair counts if the outcome was seen no later than the prediction's time plus its model's `wait_s`, and the
prediction no later than the outcome's time plus that. Both are facts of the log, so no interleaving can change
which pairs there are. Of copies the one with the least delay counts; of outcomes that contradict each other the one
that is not late, then the earlier by (time, id).
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import msgspec

from evenhand.codec import decoder
from evenhand.errors import InvalidEvent
from evenhand.events import ControlChanged, MetricObserved, OutcomeObserved, PredictionMade, Ticked
from evenhand.processors.base import Output, Processor, Record, Row
from evenhand.processors.counts import COUNTS_ROW, Counts
from evenhand.processors.dead_letter import dead_letter
from evenhand.processors.in_band import InBand, passed_on
from evenhand.processors.index import Index
from evenhand.processors.pairs import (
    SOURCE,
    Known,
    Outcome,
    Placed,
    Prediction,
    Seen,
    in_order,
    is_late,
    is_preferred,
    outcome_of,
    pack,
    pair_delay_ms,
    prediction_of,
    preferred,
    scored_row,
    stays,
    unpack_outcome,
    unpack_prediction,
)
from evenhand.processors.records import decoded, read_prediction
from evenhand.processors.reported import Reported
from evenhand.processors.slabs import DEAD, MATURED, PENDING, Entry, Slabs
from evenhand.topics import DEAD_LETTERS, METRICS, OBSERVATIONS, OUTCOMES, PREDICTIONS, SCORED, TOPICS

WAIT_ROW = b"longest_wait_ms"


class Attribution(Processor):
    """Joins one partition of predictions with the same partition of observations."""

    name = "attribution"
    reads = (PREDICTIONS, OBSERVATIONS)

    def __init__(self, partition: int, partitions: int, servers: Sequence[str] = ("inference",)) -> None:
        super().__init__(partition, partitions)
        entries = (f"{topic}/{p}" for topic in (OUTCOMES, METRICS) for p in range(partitions))
        self.in_band = InBand((*servers, *entries), self.name)
        self.predictions, self.outcomes = Slabs(b"p"), Slabs(b"o")
        self.by_request, self.by_target, self.by_address = Index(), Index(), Index()
        self.reported = Reported(self.predictions, self.by_request)
        self.counts, self.longest_wait_ms = Counts(), 86_400_000
        self._decode = {PREDICTIONS: read_prediction, OBSERVATIONS: decoder(*TOPICS[OBSERVATIONS].events).decode}

    def load(self, rows: Iterable[tuple[bytes, bytes]]) -> None:
        every = list(rows)
        self.in_band.load(every)
        for key, value in every:
            if key == COUNTS_ROW:
                self.counts = msgspec.json.decode(value, type=Counts)
            elif key == WAIT_ROW:
                self.longest_wait_ms = int(value)
        self.predictions.load(every, self.in_band.watermark.value)
        self.outcomes.load(every, self.in_band.watermark.value)
        self.reported.load(every, self.in_band.watermark.value)
        for address, data, flags in self.predictions.live():
            if flags[0] != DEAD:
                self._index_prediction(unpack_prediction(data), address)
        for address, data, flags in self.outcomes.live():
            if flags[0] != DEAD:
                self.by_address.add(unpack_outcome(data).address, address)

    def rows(self) -> Iterator[tuple[bytes, bytes]]:
        yield from self.in_band.rows()
        yield COUNTS_ROW, msgspec.json.encode(self.counts)
        yield WAIT_ROW, b"%d" % self.longest_wait_ms
        yield from self.predictions.rows()
        yield from self.outcomes.rows()
        yield from self.reported.rows()

    def apply(self, topic: str, records: Sequence[Record]) -> Output:
        output = Output()
        rows: list[Row] = []
        before = msgspec.structs.astuple(self.counts)
        events = decoded(records, self._decode[topic])
        run: list[tuple[Record, Any]] = []
        for record, event in zip(records, events, strict=True):
            if type(event) is Ticked:
                reached = self.in_band.watermark.value
                if self.in_band.hear(event):
                    self._take(topic, run, reached, rows)  # they stood before the tick
                    run = []
                    self._expire()
                    if tick := self.in_band.tick():
                        rows.append(tick)
            elif type(event) is ControlChanged:
                self._take(topic, run, self.in_band.watermark.value, rows)
                run = []
                wait_ms = event.served.wait_s * 1000
                if wait_ms > self.longest_wait_ms:
                    self.longest_wait_ms = wait_ms
                    output.rows[WAIT_ROW] = b"%d" % wait_ms
                output.rows.update(self.reported.hear(event))
                rows.append(passed_on(event, record, SOURCE))
            elif type(event) is InvalidEvent:
                output.send(DEAD_LETTERS, self.partition, dead_letter(topic, self.partition, record, str(event)))
            else:
                run.append((record, event))
        self._take(topic, run, self.in_band.watermark.value, rows)
        if rows:
            output.sends[SCORED, self.partition] = rows
        for of in (self.in_band, self.predictions, self.outcomes, self.reported.slabs):
            output.rows.update(of.changed_rows())
        if msgspec.structs.astuple(self.counts) != before:
            output.rows[COUNTS_ROW] = msgspec.json.encode(self.counts)
        return output

    def _take(self, topic: str, run: list[tuple[Record, Any]], watermark: int, rows: list[Row]) -> None:
        """What stands between two moves of the watermark: entries of a run are kept together."""
        if run:
            (self._take_predictions if topic == PREDICTIONS else self._take_outcomes)(run, watermark, rows)

    # Predictions

    def _take_predictions(self, run: list[tuple[Record, PredictionMade]], watermark: int, rows: list[Row]) -> None:
        fresh: dict[str, Prediction] = {}
        for record, event in run:
            prediction = prediction_of(record, event)
            if max(watermark, prediction.seen_at) > prediction.time + prediction.wait_ms:
                self.counts.expired += 1
                continue
            other = fresh.get(prediction.request_id)
            address = None
            if other is None:
                address, other = self._known(prediction)
            if other is not None:
                self.counts.duplicates += 1
                if not is_preferred(prediction, other):
                    continue
                self._forget(address, other)
            fresh[prediction.request_id] = prediction
            self.counts.predictions += bool(prediction.values)
            self.counts.errors += not prediction.values
        predictions = list(fresh.values())
        addresses = self.predictions.add(Entry(p.time + p.wait_ms, max(1, len(p.values)), pack(p)) for p in predictions)
        known = Known(self._outcomes_at)
        for prediction, address in zip(predictions, addresses, strict=True):
            self._index_prediction(prediction, address)
            for step in range(len(prediction.values)):
                winner = self._winner(prediction, step, known)
                if winner is not None:
                    self._score(prediction, address, step, winner, rows)
        self.reported.answer(predictions, rows)

    def _index_prediction(self, prediction: Prediction, address: int) -> None:
        self.by_request.add(prediction.request_id, address)
        self.reported.index(prediction, address)
        for step, target in enumerate(prediction.target_times):
            self.by_target.add(f"{prediction.key}\x1e{target}", address + step)

    def _known(self, prediction: Prediction) -> tuple[int | None, Prediction | None]:
        if prediction.request_id in self.by_request:
            for address in self.by_request.find(prediction.request_id):
                other = unpack_prediction(self.predictions.data(address))
                if other.request_id == prediction.request_id:
                    return address, other
        return None, None

    def _forget(self, address: int | None, prediction: Prediction) -> None:
        """A better copy takes the place of a prediction: its books are closed, and opened again by the copy."""
        self.counts.predictions -= bool(prediction.values)
        self.counts.errors -= not prediction.values
        if address is None:
            return
        if set(self.predictions.flags(address)) == {MATURED}:
            self.counts.matured -= 1
        for step in range(len(prediction.values)):
            winner = self._winner(prediction, step, Known(self._outcomes_at))
            if winner is not None and is_late(prediction, winner[1]):
                self.counts.late -= 1
        for step in range(max(1, len(prediction.values))):
            self.predictions.flag(address + step, DEAD)
        self._unindex(prediction, address)

    def _unindex(self, prediction: Prediction, address: int) -> None:
        self.by_request.remove(prediction.request_id, address)
        self.reported.unindex(prediction, address)
        for step, target in enumerate(prediction.target_times):
            self.by_target.remove(f"{prediction.key}\x1e{target}", address + step)

    # Outcomes

    def _take_outcomes(self, run: list[tuple[Record, Any]], watermark: int, rows: list[Row]) -> None:
        metrics = [(record, event) for record, event in run if type(event) is MetricObserved]
        self.counts.metrics += len(metrics)
        self.reported.take(metrics, self.longest_wait_ms, watermark, rows)
        told = [outcome_of(record, event) for record, event in run if type(event) is OutcomeObserved]
        fresh = [outcome for outcome in told if self._lives(outcome, watermark)]
        addresses = self.outcomes.add(Entry(outcome.time + self.longest_wait_ms, 1, pack(outcome)) for outcome in fresh)
        seen = Seen(self._outcomes_at, self._answered_by, self._winner)
        for outcome, address in zip(fresh, addresses, strict=True):
            self._take_outcome(outcome, address, seen, rows)

    def _lives(self, outcome: Outcome, watermark: int) -> bool:
        if max(watermark, outcome.seen_at) <= outcome.time + self.longest_wait_ms:
            return True
        self.counts.expired += 1
        return False

    def _take_outcome(self, outcome: Outcome, place: int, seen: Seen, rows: list[Row]) -> None:
        known, answered = seen.known, seen.of(outcome)
        rivals = known[outcome.address]
        copy = next((placed for placed in rivals if placed[1].id == outcome.id), None)
        if copy is not None:
            self.counts.duplicates += 1
            if outcome.seen_at >= copy[1].seen_at:
                self.outcomes.flag(place, DEAD)
                return
            self.outcomes.flag(copy[0], DEAD)
            self.by_address.remove(outcome.address, copy[0])
        else:
            self.counts.outcomes += 1
            self.counts.conflicting += bool(rivals)
        self.by_address.add(outcome.address, place)
        known[outcome.address] = sorted([(place, outcome), *(o for o in rivals if o is not copy)], key=in_order)
        for slot, step, prediction in answered:
            old = seen.winners[slot]
            if old is not None and copy is None and stays(prediction, old[1], outcome):
                continue
            winner = seen.winners[slot] = self._winner(prediction, step, known)
            if winner is None or winner[1].id != outcome.id:
                continue
            if old is not None:
                was_late = is_late(prediction, old[1])
                if old[1].id == outcome.id and was_late == is_late(prediction, outcome):
                    continue
                self.counts.late -= was_late
            self._score(prediction, slot - step, step, winner, rows)

    def _answered_by(self, outcome: Outcome) -> list[tuple[int, int, Prediction]]:
        """Slots that an outcome answers: address, step from 0, prediction."""
        found = []
        if outcome.request_id is not None:
            for address in self.by_request.find(outcome.request_id):
                prediction = unpack_prediction(self.predictions.data(address))
                if prediction.request_id == outcome.request_id and outcome.step <= len(prediction.values):
                    found.append((address + outcome.step - 1, outcome.step - 1, prediction))
        else:
            for slot in self.by_target.find(outcome.address):
                prediction, step = unpack_prediction(self.predictions.data(slot)), self.predictions.step(slot)
                named = prediction.key == outcome.key and prediction.target_times[step] == outcome.target_time
                if named and prediction.values:
                    found.append((slot, step, prediction))
        return found

    def _outcomes_at(self, address: str) -> list[Placed]:
        """What answers an address, in the order of preference among what is not late."""
        found = [(place, unpack_outcome(self.outcomes.data(place))) for place in self.by_address.find(address)]
        same = [pair for pair in found if pair[1].address == address]
        return sorted(same, key=in_order) if len(same) > 1 else same

    def _winner(self, prediction: Prediction, step: int, known: Known) -> Placed | None:
        """The outcome that counts for a step (from 0) of a prediction, of those that are known now."""
        addresses = [f"{prediction.request_id}\x1f{step + 1}"]
        if step < len(prediction.target_times):
            addresses.append(f"{prediction.key}\x1e{prediction.target_times[step]}")
        found = [known[address] for address in addresses if address in self.by_address]
        return preferred(prediction, found) if found else None

    def _score(self, prediction: Prediction, address: int, step: int, winner: Placed, rows: list[Row]) -> None:
        place, outcome = winner
        self.counts.matured += self.predictions.mature(address + step)
        delay_ms = pair_delay_ms(prediction, outcome)
        self.counts.late += delay_ms > prediction.grace_ms
        self.outcomes.flag(place, MATURED)
        rows.append(scored_row(prediction, step, outcome, delay_ms))

    def _expire(self) -> None:
        watermark = self.in_band.watermark.value
        self.reported.expire(watermark)
        for address, data, flags in self.predictions.expire(watermark):
            if flags[0] != DEAD:
                prediction = unpack_prediction(data)
                self.counts.never += bool(prediction.values) and PENDING in flags
                self._unindex(prediction, address)
        for address, data, flags in self.outcomes.expire(watermark):
            if flags[0] != DEAD:
                self.by_address.remove(unpack_outcome(data).address, address)
                self.counts.orphans += flags[0] == PENDING
