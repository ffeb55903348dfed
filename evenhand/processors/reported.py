"""Metrics that users report about a request or a unit, joined with the prediction that they count for.

A report of a request counts for its prediction, one of a unit for the unit's last prediction before it; both carry the
key of that prediction. It counts if both were seen in time, as an outcome does, and in either order of arrival. What is
known later may be the better answer: it is told then, too, and readers keep the latest prediction.

A unit may have many predictions and many reports (a robot, or everybody without a name). What may be about each other
is found by time, so that each costs a look-up, and not a comparison with all others.
"""

from collections.abc import Container, Iterable, Iterator

import msgspec

from evenhand.codec import encode, stable_id
from evenhand.envelope import cloud_headers, integer_header
from evenhand.epochs import delay_ms
from evenhand.events import ControlChanged, MetricAttributed, MetricObserved
from evenhand.processors.base import Record, Row
from evenhand.processors.index import Index
from evenhand.processors.pairs import SOURCE, Prediction, pack, unpack_prediction
from evenhand.processors.slabs import DEAD, Entry, Slabs
from evenhand.processors.timeline import Timeline

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
        return self.request_id if self.request_id is not None else _of_unit(self.key, self.unit or "")

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
        self.slabs, self.by_id, self.by_address, self.by_unit = Slabs(b"m"), Index(), Timeline(), Timeline()
        self._models: set[str] = set()

    def load(self, rows: Iterable[tuple[bytes, bytes]], watermark: int) -> None:
        """Take over rows; others than its own are passed over. Predictions are indexed by whoever holds them."""
        every = list(rows)
        self._models = {key.removeprefix(MODEL_ROW).decode() for key, _ in every if key.startswith(MODEL_ROW)}
        self.slabs.load(every, watermark)
        for address, data, flags in self.slabs.live():
            if flags[0] != DEAD:
                self._add(_unpack(data), address)

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
            self.by_unit.add(_unit_of(prediction), prediction.time, address)

    def unindex(self, prediction: Prediction, address: int) -> None:
        """A prediction whose time is over."""
        if prediction.model in self._models:
            self.by_unit.remove(_unit_of(prediction), prediction.time, address)

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
            copy = self._copy(report)
            if copy is not None:
                if report.seen_at >= copy[1].seen_at:
                    continue
                self.slabs.flag(copy[0], DEAD)
                self._remove(copy[1], copy[0])
            (address,) = self.slabs.add([Entry(report.time + longest_wait_ms, 1, pack(report))])
            self._add(report, address)
            self._tell(report, rows)

    def answer(self, predictions: Iterable[Prediction], rows: list[Row]) -> None:
        """Predictions have come, and are indexed: what has been reported about them before, each report once."""
        since, fresh = dict[str, int](), set[str]()
        for prediction in predictions:
            if prediction.model in self._models:
                unit = _unit_of(prediction)
                since[unit] = min(prediction.time, since.get(unit, prediction.time))
                since[prediction.request_id] = 0
                fresh.add(prediction.request_id)
        for address, time in since.items():
            for place in self.by_address.since(address, time):
                self._tell(_unpack(self.slabs.data(place)), rows, fresh)

    def _copy(self, report: Report) -> tuple[int, Report] | None:
        for place in self.by_id.find(report.id):
            held = _unpack(self.slabs.data(place))
            if (held.id, held.address) == (report.id, report.address):
                return place, held
        return None

    def _add(self, report: Report, address: int) -> None:
        self.by_id.add(report.id, address)
        self.by_address.add(report.address, report.time, address)

    def _remove(self, report: Report, address: int) -> None:
        self.by_id.remove(report.id, address)
        self.by_address.remove(report.address, report.time, address)

    def _tell(self, report: Report, rows: list[Row], among: Container[str] | None = None) -> None:
        """Tell of which prediction it is; with `among` (requests), only if that is one of them."""
        best = min(self._candidates(report), default=None, key=lambda p: _rank(report, p))
        if best is not None and (among is None or best.request_id in among):
            rows.append(_attributed(report, best))

    def _candidates(self, report: Report) -> Iterator[Prediction]:
        """Of predictions that it may be about the latest ones, down to one that nothing earlier is preferred to."""
        if report.request_id is not None:
            places: Iterable[int] = self.by_request.find(report.request_id)
        else:
            places = self.by_unit.until(report.address, report.time)
        found: int | None = None
        for place in places:
            prediction = unpack_prediction(self.predictions.data(place))
            if found is not None and prediction.time < found:
                return
            if report.is_about(prediction):
                yield prediction
                if report.request_id is None and _delay_ms(report, prediction) <= prediction.grace_ms:
                    found = prediction.time

    def expire(self, watermark: int) -> None:
        """Forget reports whose time is over."""
        for address, data, flags in self.slabs.expire(watermark):
            if flags[0] != DEAD:
                self._remove(_unpack(data), address)


def _of_unit(key: str, unit: str) -> str:
    return f"{key}\x1d{unit}"


def _unit_of(prediction: Prediction) -> str:
    return _of_unit(prediction.key, prediction.unit or prediction.request_id)


def _delay_ms(report: Report, prediction: Prediction) -> int:
    return max(delay_ms(report.seen_at, report.time), delay_ms(prediction.seen_at, prediction.time))


def _rank(report: Report, prediction: Prediction) -> tuple[bool, int, str, str, str]:
    """Which of several predictions is preferred: one that is not late, then the latest."""
    is_late = _delay_ms(report, prediction) > prediction.grace_ms
    return is_late, -prediction.time, prediction.request_id, prediction.variant, prediction.version


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
