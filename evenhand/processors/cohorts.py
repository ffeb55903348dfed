"""Who is still waited for: exposures by when they were made, until the wait for their outcomes is over.

The population is fixed at exposure. A cohort is a run of whole epochs; when its wait is over, it is due: what was
served in it, and how much of that came back in time. Both count units, as the sample ratio does: of a unit with many
requests, its first one. At most about twenty cohorts are open, whatever the traffic; a unit with many requests takes
eight bytes for as long as its cohort is open, for all that an epoch adds must fit in one record batch.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from hashlib import blake2b

import msgspec

from evenhand.codec import stable_id
from evenhand.experiments.evidence import Exposure, Pair
from evenhand.processors.subjects import Subject

COHORTS_ROW, FIRSTS_ROW = b"k/", b"f/"
COHORTS_OF_A_WAIT = 16
_SIZE = 8

Returns = dict[str, dict[str, list[int]]]  # by control and variant: served, returned
Firsts = dict[bytes, tuple[str, str]]  # hash of the pair that a unit's first request leads to -> control, variant


class Cohorts:
    """The open cohorts of all experiments in one partition."""

    def __init__(self) -> None:
        self._open: dict[str, dict[int, Returns]] = defaultdict(dict)
        self._firsts: dict[str, dict[int, Firsts]] = defaultdict(dict)  # by the epoch that served them

    def load(self, rows: Iterable[tuple[bytes, bytes]]) -> None:
        """Take over rows; others than its own are passed over."""
        for key, value in rows:
            if key.startswith(COHORTS_ROW):
                self._open[key.removeprefix(COHORTS_ROW).decode()] = msgspec.msgpack.decode(
                    value, type=dict[int, Returns]
                )
            elif key.startswith(FIRSTS_ROW):
                subject, epoch = key.removeprefix(FIRSTS_ROW).decode().rsplit("/", 1)
                self._firsts[subject][int(epoch)] = _unpacked(value)

    def rows(self) -> Iterator[tuple[bytes, bytes]]:
        """All that is waited for."""
        for subject, cohorts in self._open.items():
            yield COHORTS_ROW + subject.encode(), msgspec.msgpack.encode(cohorts)
        for subject, epochs in self._firsts.items():
            for epoch, firsts in epochs.items():
                yield _firsts_row(subject, epoch), _packed(firsts)

    def count(
        self,
        subject: Subject,
        epoch: int,
        exposures: Iterable[tuple[str, Exposure]],
        pairs: Iterable[tuple[str, Pair]],
    ) -> tuple[Returns, dict[bytes, bytes | None]]:
        """Take an epoch's counted exposures (by request) and its pairs (by id): what is due now, the rows that changed.

        A variant that failed has no outcome to wait for: that is an error, and counted as one.
        """
        name, epoch_ms, span = subject.experiment.name, subject.experiment.epoch_s * 1000, _span(subject)
        cohorts, firsts = self._open[name], Firsts()
        for request, each in exposures:
            if not each.failed.get(each.variant):
                of = cohorts.setdefault(epoch // span, {}).setdefault(each.control, {})
                of.setdefault(each.variant, [0, 0])[0] += 1
                if each.unit:
                    firsts[_short(stable_id("scored", request, 1))] = each.control, each.variant
        rows: dict[bytes, bytes | None] = {}
        if firsts:
            self._firsts[name][epoch] = firsts
            rows[_firsts_row(name, epoch)] = _packed(firsts)
        asked = self._firsts[name]
        for pair_id, pair in pairs:
            if pair.served and pair.predicted_time:
                at = pair.predicted_time // epoch_ms
                control, variant = (
                    (pair.control, pair.served) if pair.control else asked.get(at, {}).get(_short(pair_id), ("", ""))
                )
                found = cohorts.get(at // span, {}).get(control, {}).get(variant)
                if found is not None and at >= subject.first_epoch:
                    found[1] += 1
        due = self._due(subject, epoch, rows)
        rows[COHORTS_ROW + name.encode()] = msgspec.msgpack.encode(cohorts)
        return due, rows

    def _due(self, subject: Subject, epoch: int, rows: dict[bytes, bytes | None]) -> Returns:
        """Cohorts whose wait is over, and one cohort's length more: an outcome may have a later time than its ticks."""
        name, span = subject.experiment.name, _span(subject)
        wait = -(-subject.wait_s // subject.experiment.epoch_s)
        total: Returns = {}
        for cohort in [each for each in self._open[name] if (each + 2) * span + wait <= epoch + 1]:
            for control, variants in self._open[name].pop(cohort).items():
                for variant, (served, returned) in variants.items():
                    held = total.setdefault(control, {}).setdefault(variant, [0, 0])
                    held[0], held[1] = held[0] + served, held[1] + returned
            for of in [each for each in self._firsts[name] if each // span == cohort]:
                del self._firsts[name][of]
                rows[_firsts_row(name, of)] = None
        return total

    def forget(self, subject: str) -> dict[bytes, bytes | None]:
        """Forget an experiment that is over; the rows that go."""
        gone: dict[bytes, bytes | None] = {}
        if self._open.pop(subject, None) is not None:
            gone[COHORTS_ROW + subject.encode()] = None
        epochs: Mapping[int, Firsts] = self._firsts.pop(subject, {})
        return {**gone, **dict.fromkeys(_firsts_row(subject, epoch) for epoch in epochs)}


def _span(subject: Subject) -> int:
    """Epochs in a cohort."""
    return max(1, -(-subject.wait_s // (COHORTS_OF_A_WAIT * subject.experiment.epoch_s)))


def _firsts_row(subject: str, epoch: int) -> bytes:
    return FIRSTS_ROW + f"{subject}/{epoch}".encode()


def _short(pair_id: str) -> bytes:
    return blake2b(pair_id.encode(), digest_size=_SIZE).digest()


def _packed(firsts: Firsts) -> bytes:
    """Hashes end to end, by control and variant."""
    grouped: dict[str, dict[str, bytearray]] = {}
    for short, (control, variant) in firsts.items():
        grouped.setdefault(control, {}).setdefault(variant, bytearray()).extend(short)
    return msgspec.msgpack.encode(grouped)


def _unpacked(value: bytes) -> Firsts:
    grouped = msgspec.msgpack.decode(value, type=dict[str, dict[str, bytes]])
    return {
        hashes[at : at + _SIZE]: (control, variant)
        for control, variants in grouped.items()
        for variant, hashes in variants.items()
        for at in range(0, len(hashes), _SIZE)
    }
