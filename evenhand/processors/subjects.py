"""Which experiments are judged over which epochs, as far as the controls in the log say.

A control reaches this partition in one copy for each partition of the requests, each with its own place among the
ticks. An experiment begins with the first epoch after the control's time. It ends with the last epoch that closed
before the first copy (by its place in event time) of a later control that has it no more: an epoch is closed only by
ticks of every source, so any copy that has not arrived when it closes stands behind those ticks. So where an
experiment ends does not depend on which copy came first.
"""

from collections.abc import Iterable, Iterator

import msgspec

from evenhand.codec import encode
from evenhand.epochs import first_epoch_after, last_closed_epoch
from evenhand.events import ControlChanged
from evenhand.experiments.experiment import Experiment

CONTROL_ROW = b"c/"
NEXT_ROW = b"n/"


class Heard(msgspec.Struct):
    """A control, and the least place in event time of its copies so far."""

    control: ControlChanged
    seen_at: int


class Subject:
    """An experiment on trial in this partition: its configuration, and the next epoch to close."""

    __slots__ = ("began", "experiment", "first_epoch", "next_epoch", "until_ms", "wait_s")

    def __init__(self, experiment: Experiment, began: tuple[int, str], first_epoch: int, wait_s: int) -> None:
        self.experiment, self.began, self.wait_s = experiment, began, wait_s
        self.first_epoch = self.next_epoch = first_epoch
        self.until_ms: int | None = None  # no epoch that closes later counts

    def last_closed(self, watermark: int) -> int:
        """The last epoch that may be closed at a watermark."""
        reached = watermark if self.until_ms is None else min(watermark, self.until_ms)
        return last_closed_epoch(reached, self.experiment.epoch_s, self.experiment.grace_s)

    @property
    def over(self) -> bool:
        """Whether all of its epochs are closed."""
        return self.until_ms is not None and self.last_closed(self.until_ms) < self.next_epoch


class Subjects:
    """The experiments of all models, by name."""

    def __init__(self) -> None:
        self.by_name: dict[str, Subject] = {}
        self._heard: dict[str, Heard] = {}

    def load(self, rows: Iterable[tuple[bytes, bytes]]) -> None:
        """Take over rows; others than its own are passed over."""
        reached: dict[str, int] = {}
        for key, value in rows:
            if key.startswith(CONTROL_ROW):
                heard = msgspec.json.decode(value, type=Heard)
                self._heard[heard.control.id] = heard
            elif key.startswith(NEXT_ROW):
                reached[key.removeprefix(NEXT_ROW).decode()] = int(value)
        self._derive()
        for name, next_epoch in reached.items():
            self.by_name[name].next_epoch = next_epoch

    def rows(self) -> Iterator[tuple[bytes, bytes]]:
        """A row for each control and each subject."""
        for heard in self._heard.values():
            yield CONTROL_ROW + heard.control.id.encode(), encode(heard)
        for name, subject in self.by_name.items():
            yield NEXT_ROW + name.encode(), b"%d" % subject.next_epoch

    def weights(self, name: str) -> dict[str, dict[str, int]]:
        """By the digest of each control that has an experiment: its variants' weights."""
        return {
            heard.control.digest: {variant.name: variant.weight for variant in experiment.variants}
            for heard in self._heard.values()
            if (experiment := heard.control.served.experiment) is not None and experiment.name == name
        }

    def hear(self, control: ControlChanged, seen_at: int) -> dict[bytes, bytes | None]:
        """Take a copy of a control; the rows that changed."""
        held = self._heard.get(control.id)
        if held is not None and held.seen_at <= seen_at:
            return {}
        heard = self._heard[control.id] = Heard(control, seen_at)
        self._derive()
        return {CONTROL_ROW + control.id.encode(): encode(heard)}

    def _derive(self) -> None:
        by_age = sorted(self._heard.values(), key=lambda heard: (heard.control.time, heard.control.id))
        for heard in by_age:
            experiment = heard.control.served.experiment
            if experiment is None:
                continue
            subject = self.by_name.get(experiment.name)
            if subject is None:
                began = heard.control.time, heard.control.id
                first = first_epoch_after(heard.control.time, experiment.epoch_s)
                self.by_name[experiment.name] = Subject(experiment, began, first, heard.control.served.wait_s)
        for name, subject in self.by_name.items():
            ends = [
                heard.seen_at
                for heard in by_age
                if heard.control.model == subject.experiment.model
                and (heard.control.time, heard.control.id) > subject.began
                and (heard.control.served.experiment is None or heard.control.served.experiment.name != name)
            ]
            subject.until_ms = min(ends, default=None)
