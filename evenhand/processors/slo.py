"""Measurements to service levels: error budgets, burn rates and compliance, epoch by epoch, silent epochs too."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

import msgspec

from evenhand.alerts.policy import AlertPolicy
from evenhand.codec import decoder, digest, encode, stable_id
from evenhand.envelope import cloud_headers
from evenhand.events import ComplianceReported, EpochMeasured, Level, MetricReported, ServiceLevelReported
from evenhand.metrics.sketch import Sketch
from evenhand.monitoring import Monitoring
from evenhand.processors.base import Output, Processor, Record, Row
from evenhand.processors.columns import from_sums
from evenhand.processors.merged_epochs import Epoch, MergedEpochs, Sums, merge_sums
from evenhand.slo.indicator import JUDGED, counts_of, good_and_bad, values_of
from evenhand.slo.ledger import DAY_MS, Ledger, Slice
from evenhand.slo.level import level, over
from evenhand.slo.objective import Objective
from evenhand.topics import MEASUREMENTS, REPORTS, SERVICE_LEVELS

SOURCE = "/evenhand/slo"
MODEL_ROW, LEDGER_ROW, RECENT_ROW, PENDING_ROW = b"m/", b"l/", b"r/", b"p/"
STEADY_MS = 4 * DAY_MS  # of silence: no window of a burn rate has data any more


class Standing(msgspec.Struct):
    """A model: how far it was judged, since when it is silent, and by which rules alerts are made."""

    subject: str
    monitoring: Monitoring
    end_ms: int
    silent_ms: int | None = None
    alerts: str = ""
    judged: dict[str, int] = {}


class Slo(Processor):
    """Judges the service levels of the models whose key is in its partition."""

    name = "slo"
    reads = (MEASUREMENTS, REPORTS)

    def __init__(self, partition: int, partitions: int) -> None:
        super().__init__(partition, partitions)
        self.merged = MergedEpochs(partitions)
        self.models: dict[str, Standing] = {}
        self.ledgers: dict[tuple[str, str], Ledger] = {}
        self._recent: dict[str, dict[int, Sums]] = defaultdict(dict)  # by model, then by end
        self._pending: dict[str, MetricReported] = {}
        self._measured, self._reported = decoder(EpochMeasured), decoder(MetricReported)

    def load(self, rows: Iterable[tuple[bytes, bytes]]) -> None:
        every, slices = list(rows), dict[tuple[str, str], list[Slice]]()
        self.merged.load(every)
        for key, value in every:
            kind, rest = key[:2], key[2:].decode()
            if kind == MODEL_ROW:
                self.models[rest] = msgspec.json.decode(value, type=Standing)
            elif kind == LEDGER_ROW:
                model, objective, _ = rest.rsplit("\x1f", 2)
                slices.setdefault((model, objective), []).extend(msgspec.json.decode(value, type=list[Slice]))
            elif kind == RECENT_ROW:
                model, _, end = rest.rpartition("/")
                self._recent[model][int(end)] = msgspec.json.decode(value)
            elif kind == PENDING_ROW:
                self._pending[rest] = self._reported.decode(value)
        for of, found in slices.items():
            self.ledgers[of] = Ledger(slices=tuple(sorted(found, key=lambda one: one.start_ms)))
        for model, ends in self._recent.items():
            self._recent[model] = dict(sorted(ends.items()))

    def rows(self) -> Iterator[tuple[bytes, bytes]]:
        yield from self.merged.rows()
        for model, standing in self.models.items():
            yield MODEL_ROW + model.encode(), msgspec.json.encode(standing)
        for of, ledger in self.ledgers.items():
            for day, slices in _by_day(ledger).items():
                yield _ledger_row(of, day), msgspec.json.encode(slices)
        for model, ends in self._recent.items():
            for end, sums in ends.items():
                yield RECENT_ROW + f"{model}/{end}".encode(), msgspec.json.encode(sums)
        for name, event in self._pending.items():
            yield PENDING_ROW + name.encode(), encode(event)

    def apply(self, topic: str, records: Sequence[Record]) -> Output:
        output, before = Output(), dict(self.ledgers)
        for record in records:
            if topic == MEASUREMENTS:
                for epoch in self.merged.take(self._measured.decode(record.value or b""), output):
                    self._judge(epoch, output)
                    self._take_pending(epoch.model, epoch.end_ms, output)
            else:
                self._take_report(self._reported.decode(record.value or b""), output)
        for of, ledger in self.ledgers.items():
            if before.get(of) is not ledger:
                output.rows.update(_changes(of, before.get(of, Ledger()), ledger))
        return output

    # Measured epochs

    def _judge(self, epoch: Epoch, output: Output) -> None:
        standing = self.models.get(epoch.model)
        if standing is None:
            standing = self.models[epoch.model] = Standing(epoch.subject, epoch.monitoring, epoch.end_ms)
        if epoch.sums:
            standing.silent_ms = None
        elif standing.silent_ms is None:
            standing.silent_ms = standing.end_ms
        elif epoch.end_ms - standing.silent_ms > STEADY_MS and epoch.end_ms // DAY_MS == standing.end_ms // DAY_MS:
            return  # nothing changes in a long silence, and once a day is said so
        sketches = from_sums(epoch.sums)
        values = values_of(sketches, epoch.epoch_s * 1000)
        mine = [each for each in epoch.monitoring.objectives if each.metric not in JUDGED]
        levels = {
            each.name: self._level(standing, epoch.model, each, epoch.end_ms, values, sketches, output)
            for each in mine
        }  # fmt: skip
        alerts = epoch.monitoring.alerts or AlertPolicy()
        told = digest(encode(alerts))
        event = ServiceLevelReported(
            id=stable_id("service-level", epoch.subject, epoch.epoch),
            time=epoch.end_ms, key=epoch.model, model=epoch.model, subject=epoch.subject, epoch=epoch.epoch,
            epoch_s=epoch.epoch_s, values=values, counts=counts_of(sketches), windows=self._windows(epoch, output),
            levels=levels, alerts=None if told == standing.alerts and epoch.subject == standing.subject else alerts,
            evidence_digest=epoch.digest,
        )  # fmt: skip
        standing.subject, standing.monitoring, standing.alerts = epoch.subject, epoch.monitoring, told
        standing.end_ms = epoch.end_ms
        output.rows[MODEL_ROW + epoch.model.encode()] = msgspec.json.encode(standing)
        self._send(event, output)

    def _level(
        self, standing: Standing, model: str, objective: Objective, end_ms: int, values: Mapping[str, float],
        sketches: Mapping[str, Sketch], output: Output,
    ) -> Level:  # fmt: skip
        of = model, objective.name
        ledger = self.ledgers.get(of, Ledger())
        before_ms = standing.judged.get(objective.name, end_ms)
        for report in over(objective, ledger, model, before_ms, end_ms, stable_id("compliance", *of)):
            self._send(report, output)
        standing.judged[objective.name] = end_ms
        good, bad = good_and_bad(objective, values, sketches)
        if good + bad:
            ledger = self.ledgers[of] = ledger.add(objective, end_ms - 1, good, bad)
        return level(objective, ledger, end_ms, good, bad, values.get(objective.metric))

    def _windows(self, epoch: Epoch, output: Output) -> dict[str, dict[str, float]]:
        """The values of the windows, longer than an epoch, that rules ask for."""
        alerts, recent = epoch.monitoring.alerts, self._recent[epoch.model]
        rules = () if alerts is None else alerts.rules
        wanted = sorted({rule.window_s for rule in rules if rule.window_s > epoch.epoch_s})
        if wanted and epoch.sums:
            recent[epoch.end_ms] = epoch.sums
            output.rows[RECENT_ROW + f"{epoch.model}/{epoch.end_ms}".encode()] = msgspec.json.encode(epoch.sums)
        longest = wanted[-1] * 1000 if wanted else 0
        for end in [end for end in recent if end <= epoch.end_ms - longest]:
            del recent[end]
            output.rows[RECENT_ROW + f"{epoch.model}/{end}".encode()] = None
        found, sums, newest = dict[str, dict[str, float]](), dict[str, object](), list(reversed(recent))
        first_ms = next(iter(recent), epoch.end_ms) - epoch.epoch_s * 1000  # before, nothing was asked that is known
        for window_s in wanted:
            while newest and newest[0] > epoch.end_ms - window_s * 1000:
                sums = merge_sums(sums, recent[newest.pop(0)])
            watched_ms = min(window_s * 1000, epoch.end_ms - first_ms)
            found[str(window_s)] = values_of(from_sums(sums), watched_ms)
        return found

    # What other judges report

    def _take_report(self, event: MetricReported, output: Output) -> None:
        standing = self.models.get(event.model)
        if not JUDGED & event.values.keys():
            return
        if standing is None or standing.end_ms < event.time:
            self._pending[event.id] = event
            output.rows[PENDING_ROW + event.id.encode()] = encode(event)
        else:
            self._judge_report(standing, event, output)

    def _take_pending(self, model: str, end_ms: int, output: Output) -> None:
        due = [event for event in self._pending.values() if event.model == model and event.time <= end_ms]
        for event in sorted(due, key=lambda one: (one.time, one.id)):
            del self._pending[event.id]
            output.rows[PENDING_ROW + event.id.encode()] = None
            self._judge_report(self.models[model], event, output)

    def _judge_report(self, standing: Standing, event: MetricReported, output: Output) -> None:
        mine = [
            each for each in standing.monitoring.objectives
            if each.metric in JUDGED and each.metric in event.values
            and standing.judged.get(each.name, -1) < event.time
        ]  # fmt: skip
        levels = {
            each.name: self._level(standing, event.model, each, event.time, event.values, {}, output) for each in mine
        }
        output.rows[MODEL_ROW + event.model.encode()] = msgspec.json.encode(standing)
        self._send(
            ServiceLevelReported(
                id=stable_id("service-level", event.id), time=event.time, key=event.model, model=event.model,
                subject=standing.subject, epoch=event.epoch, epoch_s=event.epoch_s, levels=levels, judged=True,
                values={name: value for name, value in sorted(event.values.items()) if name in JUDGED},
            ),
            output,
        )  # fmt: skip

    def _send(self, event: ServiceLevelReported | ComplianceReported, output: Output) -> None:
        headers = cloud_headers(type(event).__name__, event.id, SOURCE, event.time)
        output.send(SERVICE_LEVELS, self.partition, Row(event.key.encode(), encode(event), headers))


def _ledger_row(of: tuple[str, str], day: int) -> bytes:
    return LEDGER_ROW + f"{of[0]}\x1f{of[1]}\x1f{day}".encode()


def _by_day(ledger: Ledger) -> dict[int, list[Slice]]:
    days: dict[int, list[Slice]] = {}
    for one in ledger.slices:
        days.setdefault(one.start_ms // DAY_MS, []).append(one)
    return days


def _changes(of: tuple[str, str], before: Ledger, after: Ledger) -> dict[bytes, bytes | None]:
    """The rows, one a day, in which two ledgers differ."""
    old, new = _by_day(before), _by_day(after)
    changed: dict[bytes, bytes | None] = dict.fromkeys(_ledger_row(of, day) for day in old.keys() - new.keys())
    return changed | {
        _ledger_row(of, day): msgspec.json.encode(slices) for day, slices in new.items() if old.get(day) != slices
    }
