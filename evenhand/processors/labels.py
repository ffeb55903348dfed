"""Which predictions have an outcome, until their wait is over: those without one then are counted as missing."""

from collections.abc import Iterable, Iterator

import msgspec
import numpy as np

from evenhand.metrics.missing_labels import MissingLabels
from evenhand.processors.columns import Rows
from evenhand.processors.measured import Batch, OpenEpoch
from evenhand.processors.policies import Policy

DUE_ROW, MATURED_ROW = b"d/", b"m/"
MOST = 8_192  # predictions of an epoch that are followed: those of the least hashes, so that a row fits in a record
_PAIR = np.dtype([("epoch", "i8"), ("id", "u8")])


class Labels:
    """Ids of predictions, by policy and by the epoch in which they were made: eight bytes each."""

    def __init__(self) -> None:
        self._due: dict[tuple[str, int], tuple[int, Rows]] = {}  # of an epoch: told in which one, ids
        self._matured: dict[bytes, tuple[str, Rows]] = {}
        self._row = 0

    def load(self, rows: Iterable[tuple[bytes, bytes]]) -> None:
        """Take over rows; others than its own are passed over."""
        for key, value in rows:
            if key.startswith(DUE_ROW):
                name, epoch = key.removeprefix(DUE_ROW).decode().rsplit("/", 1)
                told, data = msgspec.msgpack.decode(value, type=tuple[int, bytes])
                self._due[name, int(epoch)] = told, np.frombuffer(data, np.uint64)
            elif key.startswith(MATURED_ROW):
                name, number = key.removeprefix(MATURED_ROW).decode().rsplit("/", 1)
                self._matured[key] = name, np.frombuffer(value, _PAIR)
                self._row = max(self._row, int(number) + 1)

    def rows(self) -> Iterator[tuple[bytes, bytes]]:
        """All that is remembered."""
        for (name, epoch), (told, ids) in self._due.items():
            yield DUE_ROW + f"{name}/{epoch}".encode(), msgspec.msgpack.encode((told, ids.tobytes()))
        for key, (_, pairs) in self._matured.items():
            yield key, pairs.tobytes()

    def keep(self, batch: Batch) -> dict[bytes, bytes | None]:
        """What a batch said; the rows that changed."""
        changed: dict[bytes, bytes | None] = {}
        for name, pairs in batch.matured.items():
            key = MATURED_ROW + f"{name}/{self._row}".encode()
            self._row += 1
            rows = np.array(pairs, _PAIR)
            self._matured[key] = name, rows
            changed[key] = rows.tobytes()
        return changed

    def made(self, policy: Policy, epoch: int, held: OpenEpoch) -> dict[bytes, bytes | None]:
        """An epoch closes: its answers are due at the end of the epoch in which the last wait is over."""
        rows = held.unpacked("made")[0]
        ids = np.unique(rows["id"][(rows["failed"] == 0) & (rows["served"] == rows["version"])])[:MOST]
        if not len(ids):
            return {}
        epoch_ms = policy.monitoring.epoch_s * 1000
        told = -(-((epoch + 1) * epoch_ms + held.wait_ms) // epoch_ms) - 1
        self._due[policy.name, epoch] = told, ids
        return {DUE_ROW + f"{policy.name}/{epoch}".encode(): msgspec.msgpack.encode((told, ids.tobytes()))}

    def due(self, policy: Policy, last: int) -> set[int]:
        """Epochs, up to the last, in which something is due."""
        return {told for (name, _), (told, _) in self._due.items() if name == policy.name and told <= last}

    def told(self, policy: Policy, epoch: int, rows: dict[bytes, bytes | None]) -> MissingLabels | None:
        """What was due at an epoch's end, and is missing; it is forgotten."""
        mine = [of for of, (told, _) in self._due.items() if of[0] == policy.name and told <= epoch]
        if not mine:
            return None
        pairs = [each for name, each in self._matured.values() if name == policy.name]
        known = np.concatenate(pairs) if pairs else np.empty(0, _PAIR)
        due = missing = 0
        for of in mine:
            _, ids = self._due.pop(of)
            rows[DUE_ROW + f"{of[0]}/{of[1]}".encode()] = None
            due += len(ids)
            missing += int((~np.isin(ids, known["id"][known["epoch"] == of[1]])).sum())
        open_from = min((at for name, at in self._due if name == policy.name), default=policy.next_epoch)
        for key, (name, each) in list(self._matured.items()):
            if name == policy.name and int(each["epoch"].max()) < open_from:
                del self._matured[key]
                rows[key] = None
        return MissingLabels().add(due, missing)

    def forget(self, name: str) -> dict[bytes, bytes | None]:
        """Forget a policy that is over; the rows that go."""
        gone = [DUE_ROW + f"{of}/{epoch}".encode() for of, epoch in self._due if of == name]
        gone += [key for key, (of, _) in self._matured.items() if of == name]
        self._due = {of: each for of, each in self._due.items() if of[0] != name}
        self._matured = {key: each for key, each in self._matured.items() if each[0] != name}
        return dict.fromkeys(gone)
