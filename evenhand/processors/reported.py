"""Metrics that users report about a request or a unit, joined with the prediction that they count for.

A report of a request counts for its prediction, one of a unit for the unit's last prediction before it; both carry the
key of that prediction. It counts if both were seen in time, as an outcome does, and in either order of arrival. What is
known later may be the better answer: it is told then, too, and readers keep the latest prediction.
"""

from collections.abc import Iterable, Iterator

import msgspec

from evenhand.codec import encode, stable_id
from evenhand.envelope import cloud_headers, integer_header
from evenhand.epochs import delay_ms
from evenhand.events import ControlChanged, MetricAttributed, MetricObserved
from evenhand.processors.base import Record, Row
from evenhand.processors.index import Index
from evenhand.processors.pairs import SOURCE, Prediction, pack, unpack_prediction
from evenhand.processors.slabs import DEAD, Entry, Slabs

MODEL_ROW = b"measured/"


class Report(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What is kept of a MetricObserved."""

    id: str
    key: str
    time: int
    seen_at: int
    name: str
    value: float
    model: str | None
    request_id: str | None
    unit: str | None

    @property
    def address(self) -> str:
        """What it is about."""
        return self.request_id if self.request_id is not None else _of_unit(self.unit or "")

    def is_about(self, prediction: Prediction) -> bool:
        """Whether a prediction may be the one, and both were seen in time."""
        if prediction.key != self.key or self.model not in {None, prediction.model} or prediction.experiment is None:
            return False
        if self.request_id is not None:
            named = prediction.request_id == self.request_id
        else:
            named = (prediction.unit or prediction.request_id) == self.unit and prediction.time <= self.time
        wait_ms = prediction.wait_ms
        return named and self.seen_at <= prediction.time + wait_ms and prediction.seen_at <= self.time + wait_ms


_unpack = msgspec.msgpack.Decoder(Report).decode


class Reported:
    """The reports of one partition that wait, and the units of the predictions that they may be about."""

    def __init__(self, predictions: Slabs, by_request: Index) -> None:
        self.predictions, self.by_request = predictions, by_request
        self.slabs, self.by_address, self.by_unit = Slabs(b"m"), Index(), Index()
        self._models: set[str] = set()

    def load(self, rows: Iterable[tuple[bytes, bytes]], watermark: int) -> None:
        """Take over rows; others than its own are passed over. Predictions are indexed by whoever holds them."""
        every = list(rows)
        self._models = {key.removeprefix(MODEL_ROW).decode() for key, _ in every if key.startswith(MODEL_ROW)}
        self.slabs.load(every, watermark)
        for address, data, flags in self.slabs.live():
            if flags[0] != DEAD:
                self.by_address.add(_unpack(data).address, address)

    def rows(self) -> Iterator[tuple[bytes, bytes]]:
        """All rows that hold now."""
        yield from self.slabs.rows()
        for model in self._models:
            yield MODEL_ROW + model.encode(), b"1"

    def hear(self, control: ControlChanged) -> dict[bytes, bytes | None]:
        """From here on, predictions of a model whose experiment has metrics are found by their units."""
        experiment = control.served.experiment
        if experiment is None or not experiment.metrics or control.model in self._models:
            return {}
        self._models.add(control.model)
        return {MODEL_ROW + control.model.encode(): b"1"}

    def index(self, prediction: Prediction, address: int) -> None:
        """A prediction that may be asked about."""
        if prediction.model in self._models:
            self.by_unit.add(_of_unit(prediction.unit or prediction.request_id), address)

    def unindex(self, prediction: Prediction, address: int) -> None:
        """A prediction whose time is over."""
        if prediction.model in self._models:
            self.by_unit.remove(_of_unit(prediction.unit or prediction.request_id), address)

    def take(
        self, run: Iterable[tuple[Record, MetricObserved]], longest_wait_ms: int, watermark: int, rows: list[Row]
    ) -> None:
        """Reports, in order. What names neither request nor unit is of nobody's trial."""
        for record, event in run:
            if event.request_id is None and event.unit is None:
                continue
            report = Report(
                event.id, event.key, event.time, integer_header(record, "seen_at"), event.name, event.value,
                event.model, event.request_id, event.unit,
            )  # fmt: skip
            if max(watermark, report.seen_at) > report.time + longest_wait_ms:
                continue
            copy = next(((at, held) for at, held in self._at(report.address) if held.id == report.id), None)
            if copy is not None:
                if report.seen_at >= copy[1].seen_at:
                    continue
                self.slabs.flag(copy[0], DEAD)
                self.by_address.remove(report.address, copy[0])
            (address,) = self.slabs.add([Entry(report.time + longest_wait_ms, 1, pack(report))])
            self.by_address.add(report.address, address)
            self._tell(report, rows)

    def answer(self, prediction: Prediction, rows: list[Row]) -> None:
        """A prediction has come: what has been reported about it before."""
        if prediction.model not in self._models:
            return
        for address in (prediction.request_id, _of_unit(prediction.unit or prediction.request_id)):
            for _, report in self._at(address):
                if report.is_about(prediction):
                    self._tell(report, rows)

    def _at(self, address: str) -> list[tuple[int, Report]]:
        found = ((place, _unpack(self.slabs.data(place))) for place in self.by_address.find(address))
        return [(place, report) for place, report in found if report.address == address]

    def _tell(self, report: Report, rows: list[Row]) -> None:
        index = self.by_request if report.request_id is not None else self.by_unit
        known = (unpack_prediction(self.predictions.data(place)) for place in index.find(report.address))
        about = [prediction for prediction in known if report.is_about(prediction)]
        best = min(
            about, default=None,
            key=lambda p: (_delay_ms(report, p) > p.grace_ms, -p.time, p.request_id, p.variant, p.version),
        )  # fmt: skip
        if best is not None:
            rows.append(_attributed(report, best))

    def expire(self, watermark: int) -> None:
        """Forget reports whose time is over."""
        for address, data, flags in self.slabs.expire(watermark):
            if flags[0] != DEAD:
                self.by_address.remove(_unpack(data).address, address)


def _of_unit(unit: str) -> str:
    return f"\x1d{unit}"


def _delay_ms(report: Report, prediction: Prediction) -> int:
    return max(delay_ms(report.seen_at, report.time), delay_ms(prediction.seen_at, prediction.time))


def _attributed(report: Report, prediction: Prediction) -> Row:
    event = MetricAttributed(
        id=stable_id("metric", report.id),
        time=max(report.time, prediction.time),
        key=report.key,
        name=report.name,
        value=report.value,
        model=prediction.model,
        request_id=prediction.request_id,
        unit=prediction.unit or prediction.request_id,
        variant=prediction.variant,
        version=prediction.version,
        experiment=prediction.experiment,
        control=prediction.control,
        predicted_time=prediction.time,
        delay_ms=_delay_ms(report, prediction),
    )
    return Row(report.key.encode(), encode(event), cloud_headers("MetricAttributed", event.id, SOURCE, event.time))
