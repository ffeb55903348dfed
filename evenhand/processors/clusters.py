"""Clusters that have been counted, so that each counts once: in the first epoch in which an outcome of it is known.

Requests that share an outcome hear of it at different times, each from its own user, and so in different epochs. Were
the cluster counted in each of them, twenty requests would be twenty observations again. Eight bytes of state a cluster,
kept for two waits: no outcome of it can come after that.
"""

from collections.abc import Iterable, Iterator
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from evenhand.processors.subjects import Subject

CLUSTERS_ROW = b"l/"
Hashes = NDArray[np.uint64]


class Clusters:
    """Of each experiment in one partition, by the epoch that counted them."""

    def __init__(self) -> None:
        self._epochs: dict[str, dict[int, Hashes]] = {}
        self._sorted: dict[str, Hashes] = {}

    def load(self, rows: Iterable[tuple[bytes, bytes]]) -> None:
        """Take over rows; others than its own are passed over."""
        for key, value in rows:
            if key.startswith(CLUSTERS_ROW):
                subject, epoch = key.removeprefix(CLUSTERS_ROW).decode().rsplit("/", 1)
                self._epochs.setdefault(subject, {})[int(epoch)] = np.frombuffer(value, "<u8").astype(np.uint64)

    def rows(self) -> Iterator[tuple[bytes, bytes]]:
        """All that is remembered."""
        for subject, epochs in self._epochs.items():
            for epoch, hashes in epochs.items():
                yield _row(subject, epoch), hashes.astype("<u8").tobytes()

    def count(self, subject: Subject, epoch: int, named: Iterable[str]) -> tuple[set[str], dict[bytes, bytes | None]]:
        """Take an epoch's clusters: which of them have been counted before, and the rows that changed."""
        name, rows = subject.experiment.name, dict[bytes, bytes | None]()
        epochs = self._epochs.setdefault(name, {})
        oldest = epoch - 2 * -(-subject.wait_s // subject.experiment.epoch_s)
        gone = [each for each in epochs if each < oldest]
        for each in gone:
            del epochs[each]
            rows[_row(name, each)] = None
        if gone or name not in self._sorted:
            self._sorted[name] = np.sort(np.concatenate([np.zeros(0, np.uint64), *epochs.values()]))
        known, names = self._sorted[name], sorted(set(named))
        if not names:
            return set(), rows
        hashes = np.array([_hash(each) for each in names], np.uint64)
        at = np.searchsorted(known, hashes)
        is_known = (at < len(known)) & (known[np.minimum(at, len(known) - 1)] == hashes) if len(known) else at < 0
        fresh = np.unique(hashes[~is_known])
        if len(fresh):
            epochs[epoch] = fresh
            rows[_row(name, epoch)] = fresh.astype("<u8").tobytes()
            self._sorted[name] = np.insert(known, np.searchsorted(known, fresh), fresh)
        return {each for each, was in zip(names, is_known.tolist(), strict=True) if was}, rows

    def forget(self, subject: str) -> dict[bytes, bytes | None]:
        """Forget an experiment that is over; the rows that go."""
        self._sorted.pop(subject, None)
        return dict.fromkeys(_row(subject, epoch) for epoch in self._epochs.pop(subject, {}))


def _row(subject: str, epoch: int) -> bytes:
    return CLUSTERS_ROW + f"{subject}/{epoch}".encode()


def _hash(cluster: str) -> int:
    return int.from_bytes(blake2b(cluster.encode(), digest_size=8).digest(), "big")
