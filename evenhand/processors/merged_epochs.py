"""Measurements of all partitions, merged epoch by epoch: each epoch in order, when every partition has reported it."""

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import msgspec

from evenhand.codec import digest
from evenhand.events import EpochMeasured
from evenhand.monitoring import Monitoring
from evenhand.processors.base import Output
from evenhand.processors.columns import as_sums, from_sums

SUBJECT_ROW, WAITING_ROW = b"s/", b"w/"
Sums = dict[str, Any]


class Subject(msgspec.Struct):
    """A model under one policy: the next epoch to judge, and how far each partition has reported.

    `rules` is the policy by the first epoch in which its rules of alerts hold, as the first partition says.
    """

    model: str
    epoch_s: int
    next_epoch: int
    rules: dict[int, Monitoring] = {}
    reached: dict[int, int] = {}
    is_alone: bool = False

    def rule(self, epoch: int) -> Monitoring:
        """The policy in an epoch that is to be judged; what held before is forgotten."""
        holding = max((first for first in self.rules if first <= epoch), default=min(self.rules))
        self.rules = {first: each for first, each in self.rules.items() if first >= holding}
        return self.rules[holding]


class Epoch(NamedTuple):
    """An epoch that all partitions have reported; `sums` are of whatever was served, none where nothing was."""

    subject: str
    model: str
    monitoring: Monitoring
    epoch: int
    epoch_s: int
    sums: Sums
    digest: str

    @property
    def end_ms(self) -> int:
        """When it ended."""
        return (self.epoch + 1) * self.epoch_s * 1000


class MergedEpochs:
    """The subjects of one partition, as state rows."""

    def __init__(self, partitions: int) -> None:
        self._partitions = partitions
        self.subjects: dict[str, Subject] = {}
        self._waiting: dict[tuple[str, int], dict[int, tuple[Sums, str]]] = {}

    def load(self, rows: Iterable[tuple[bytes, bytes]]) -> None:
        """Take over rows; others than its own are passed over."""
        for key, value in rows:
            if key.startswith(SUBJECT_ROW):
                self.subjects[key.removeprefix(SUBJECT_ROW).decode()] = msgspec.json.decode(value, type=Subject)
            elif key.startswith(WAITING_ROW):
                name, epoch, partition = key.removeprefix(WAITING_ROW).decode().rsplit("/", 2)
                held = msgspec.json.decode(value, type=tuple[Sums, str])
                self._waiting.setdefault((name, int(epoch)), {})[int(partition)] = held

    def rows(self) -> Iterator[tuple[bytes, bytes]]:
        """A row for each subject, and for each report that waits."""
        for name, subject in self.subjects.items():
            yield SUBJECT_ROW + name.encode(), msgspec.json.encode(subject)
        for (name, epoch), held in self._waiting.items():
            for partition, each in held.items():
                yield _waiting_row(name, epoch, partition), msgspec.json.encode(each)

    def take(self, event: EpochMeasured, output: Output) -> list[Epoch]:
        """Take a partition's report; the epochs that are complete by it."""
        subject = self.subjects.get(event.subject)
        if subject is None:
            subject = self.subjects[event.subject] = Subject(
                event.model, event.epoch_s, event.first_epoch, is_alone=event.is_alone
            )
            self._forget_others(event, output)
        if event.last_epoch <= subject.reached.get(event.partition, subject.next_epoch - 1):
            return []  # a repeat
        subject.reached[event.partition] = event.last_epoch
        if event.is_alone or event.partition == 0:
            newest = subject.rules.get(max(subject.rules, default=-1))
            if newest != event.monitoring:
                subject.rules = {**subject.rules, event.first_epoch: event.monitoring}
        served = event.versions.get("")
        if served is not None:
            held = dict(served.sketches), event.digest
            self._waiting.setdefault((event.subject, event.last_epoch), {})[event.partition] = held
            output.rows[_waiting_row(event.subject, event.last_epoch, event.partition)] = msgspec.json.encode(held)
        found = [*self._complete(event.subject, subject, output)]
        output.rows[SUBJECT_ROW + event.subject.encode()] = msgspec.json.encode(subject)
        return found

    def _complete(self, name: str, subject: Subject, output: Output) -> Iterator[Epoch]:
        if not subject.is_alone and len(subject.reached) < self._partitions:
            return
        for epoch in range(subject.next_epoch, min(subject.reached.values()) + 1):
            held = self._waiting.pop((name, epoch), {})
            sums, digests = dict[str, Any](), list[str]()
            for partition in sorted(held):
                sums = merge_sums(sums, held[partition][0])
                digests.append(held[partition][1])
                output.rows[_waiting_row(name, epoch, partition)] = None
            of_all = digest("\x1f".join(digests).encode()) if digests else ""
            yield Epoch(name, subject.model, subject.rule(epoch), epoch, subject.epoch_s, sums, of_all)
            subject.next_epoch = epoch + 1

    def _forget_others(self, event: EpochMeasured, output: Output) -> None:
        """Of earlier subjects of the model those in which every partition has come equally far are over."""
        for name, other in list(self.subjects.items()):
            over = len(set(other.reached.values())) == 1 and len(other.reached) == self._partitions
            if other.model == event.model and name != event.subject and over:
                del self.subjects[name]
                output.rows[SUBJECT_ROW + name.encode()] = None


def merge_sums(one: Sums, other: Sums) -> Sums:
    """Sketches of two parts as those of the whole."""
    if not one or not other:
        return one or other
    left, right = from_sums(one), from_sums(other)
    merged = {
        name: left[name].merge(right[name]) if name in left and name in right else left.get(name) or right[name]
        for name in sorted({*left, *right})
    }
    return as_sums(merged)


def _waiting_row(name: str, epoch: int, partition: int) -> bytes:
    return WAITING_ROW + f"{name}/{epoch}/{partition}".encode()
