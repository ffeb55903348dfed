"""What judges of measurements share: an epoch is judged when all partitions have reported it, in order of epochs."""

from abc import abstractmethod
from collections.abc import Iterable, Iterator, Sequence

import msgspec

from evenhand.codec import decoder
from evenhand.envelope import header
from evenhand.events import EpochMeasured
from evenhand.processors.base import Output, Processor, Record
from evenhand.topics import MEASUREMENTS

SUBJECT_ROW, REPORT_ROW = b"s/", b"r/"
Places = list[tuple[str, int, int, int]]


class Reached(msgspec.Struct):
    """How far a subject is judged, and how far each partition has reported. A silence is told once, however long.

    It is over when a later policy of the same model is judged: all partitions have reported this one by then.
    """

    next_epoch: int
    partitions: dict[int, int] = {}
    is_silent: bool = False
    is_over: bool = False
    began_s: int = 0
    data_epoch: int | None = None


class Held(msgspec.Struct, frozen=True, array_like=True):
    """A report that waits for those of the other partitions, where its evidence lies, and where it lies itself."""

    measured: EpochMeasured
    places: Places


class Judge(Processor):
    """Judges the models whose key is in its partition. What it judges by is what a subclass says."""

    reads = (MEASUREMENTS,)

    def __init__(self, partition: int, partitions: int) -> None:
        super().__init__(partition, partitions)
        self.subjects: dict[str, Reached] = {}
        self._held: dict[tuple[str, int, int], Held] = {}  # subject, last epoch, partition
        self._decoder = decoder(EpochMeasured)

    @abstractmethod
    def judge(self, parts: Sequence[Held], output: Output) -> None:
        """What an epoch's reports say: those of all partitions that have any, in order of partitions."""

    def silent(self, last: EpochMeasured, output: Output) -> None:
        """The first of some epochs in which nothing was measured anywhere."""

    def passed(self, like: EpochMeasured, epochs: range, silent_since: int | None, output: Output) -> None:
        """An epoch is judged, or in some nothing was measured, nor since another: all are told once, in order."""

    def ended(self, subject: str, by: EpochMeasured, output: Output) -> None:
        """A policy is over: a later one of its model is judged."""

    def load(self, rows: Iterable[tuple[bytes, bytes]]) -> None:
        for key, value in rows:
            if key.startswith(SUBJECT_ROW):
                self.subjects[key.removeprefix(SUBJECT_ROW).decode()] = msgspec.json.decode(value, type=Reached)
            elif key.startswith(REPORT_ROW):
                subject, epoch, partition = key.removeprefix(REPORT_ROW).decode().rsplit("/", 2)
                self._held[subject, int(epoch), int(partition)] = msgspec.json.decode(value, type=Held)

    def rows(self) -> Iterator[tuple[bytes, bytes]]:
        for subject, reached in self.subjects.items():
            yield SUBJECT_ROW + subject.encode(), msgspec.json.encode(reached)
        for of, held in self._held.items():
            yield _row(of), msgspec.json.encode(held)

    def apply(self, topic: str, records: Sequence[Record]) -> Output:
        output, touched = Output(), dict[str, EpochMeasured]()
        for record in records:
            event = self._decoder.decode(record.value or b"")
            reached = self._reached(event)
            if reached.is_over or event.last_epoch <= reached.partitions.get(event.partition, reached.next_epoch - 1):
                continue  # a repeat
            reached.partitions[event.partition] = event.last_epoch
            touched[event.subject] = event
            if event.versions or event.inputs:
                places = msgspec.json.decode(header(record, "evidence") or b"[]", type=Places)
                of = event.subject, event.last_epoch, event.partition
                held = Held(event, [*places, (topic, self.partition, record.offset, record.offset)])
                self._held[of] = held
                output.rows[_row(of)] = msgspec.json.encode(held)
        for subject, event in touched.items():
            self._go_on(subject, event, output)
            output.rows[SUBJECT_ROW + subject.encode()] = msgspec.json.encode(self.subjects[subject])
        return output

    def _reached(self, event: EpochMeasured) -> Reached:
        reached = self.subjects.get(event.subject)
        if reached is None:
            began_s = event.first_epoch * event.epoch_s
            reached = self.subjects[event.subject] = Reached(event.first_epoch, began_s=began_s)
        return reached

    def _go_on(self, subject: str, latest: EpochMeasured, output: Output) -> None:
        reached = self.subjects[subject]
        if not latest.is_alone and len(reached.partitions) < self.partitions:
            return
        complete = min(reached.partitions.values())
        for epoch in sorted({at for of, at, _ in self._held if of == subject and at <= complete}):
            places = [(subject, epoch, partition) for partition in range(self.partitions)]
            parts = [self._held.pop(of) for of in places if of in self._held]
            output.rows.update({_row((subject, epoch, part.measured.partition)): None for part in parts})
            self._pass_silence(reached, epoch, parts[0].measured, output)
            self._end_others(subject, parts[0].measured, output)
            self.judge(parts, output)
            reached.next_epoch, reached.is_silent, reached.data_epoch = epoch + 1, False, epoch
            self.passed(parts[0].measured, range(epoch, epoch + 1), None, output)
        self._pass_silence(reached, complete + 1, latest, output)

    def _end_others(self, subject: str, by: EpochMeasured, output: Output) -> None:
        began_s = self.subjects[subject].began_s
        for name, other in self.subjects.items():
            if other.began_s < began_s and not other.is_over and name.startswith(f"{by.model}@"):
                other.is_over, other.partitions = True, {}
                self.ended(name, by, output)
                output.rows[SUBJECT_ROW + name.encode()] = msgspec.json.encode(other)

    def _pass_silence(self, reached: Reached, until: int, like: EpochMeasured, output: Output) -> None:
        last = reached.next_epoch
        if last >= until:
            return
        if not reached.is_silent and not like.is_alone:
            empty = msgspec.structs.replace(
                like, first_epoch=last, last_epoch=last, time=(last + 1) * like.epoch_s * 1000, inputs=(),
                versions={}, late=0, digest="",
            )  # fmt: skip
            reached.is_silent = True
            self.silent(empty, output)
        since = reached.began_s // like.epoch_s if reached.data_epoch is None else reached.data_epoch + 1
        self.passed(like, range(last, until), since, output)
        reached.next_epoch = until


def _row(of: tuple[str, int, int]) -> bytes:
    return REPORT_ROW + f"{of[0]}/{of[1]}/{of[2]}".encode()
