"""What a partition keeps of open epochs, and how an epoch is folded when it closes."""

from collections import defaultdict
from collections.abc import Mapping
from hashlib import blake2b
from typing import Any

import msgspec
import numpy as np

from evenhand.drift.lowest import Lowest
from evenhand.events import PredictionMade, PredictionScored, SampledRow, VersionMeasured
from evenhand.metrics import loss
from evenhand.metrics.gauge import Gauge
from evenhand.metrics.missing_labels import MissingLabels
from evenhand.monitoring import Monitoring
from evenhand.processors.columns import (
    NAN,
    SCORED,
    Columns,
    Rows,
    as_sums,
    pack,
    sample_of,
    sketches_of,
    unpack,
)
from evenhand.processors.policies import Policy

ENTRIES_ROW, GONE_ROW = b"e/", b"g/"


class Entries(msgspec.Struct, array_like=True):
    """What one batch added to an open epoch, and where it lies."""

    columns: list[Columns]
    inputs: list[SampledRow]
    late: list[int]
    wait_ms: int
    place: tuple[str, int, int, int]


class Fresh:
    """What a batch adds to one epoch."""

    def __init__(self, topic: str, partition: int, offset: int) -> None:
        self.inputs: list[SampledRow] = []
        self.late: list[int] = []
        self.wait_ms = 0
        self.first = self.last = offset
        self._topic, self._partition = topic, partition
        self._made: list[tuple[Any, ...]] = []
        self._scored: list[tuple[Any, ...]] = []
        self._versions: dict[str, int] = {}

    def _version(self, name: str) -> int:
        known = self._versions.get(name)
        if known is None:
            known = self._versions[name] = len(self._versions)
        return known

    def made(self, event: PredictionMade, request: int, cluster: int, ms: float | None) -> None:
        """A prediction: a row for the version that answered, and for each in shadow."""
        time, served, values = event.time, self._version(event.version), event.values
        score = event.confidence[0] if event.confidence else NAN
        if event.intervals:
            low, high = event.intervals[0]
            score = high - low
        value, took = values[0] if values else NAN, NAN if ms is None else ms
        failed = event.error is not None
        rows = self._made
        rows.append((request, served, served, failed, len(values), took, time, cluster, value, score))
        for one in event.shadows:
            values = one.values
            value, version, failed = values[0] if values else NAN, self._version(one.version), one.error is not None
            rows.append((request, served, version, failed, len(values), NAN, time, cluster, value, NAN))
        self.wait_ms = max(self.wait_ms, event.wait_s * 1000)

    def scored(self, event: PredictionScored, asked: int, cluster: int) -> None:
        """A prediction with its outcome."""
        pair, served, outcome = int(event.id[:16], 16), self._version(event.version), event.outcome
        came = event.time if event.outcome_time is None else event.outcome_time
        low, high = event.interval or (NAN, NAN)
        sure, delay_s = NAN if event.confidence is None else event.confidence, (came - asked) / 1000
        rows = self._scored
        rows.append((pair, came, served, served, asked, cluster, event.value, outcome, delay_s, sure, low, high))
        for one in event.shadows:
            if one.value is not None:
                version = self._version(one.version)
                rows.append((pair, came, served, version, asked, cluster, one.value, outcome, delay_s, NAN, NAN, NAN))

    def entries(self) -> Entries:
        """All of it."""
        names = list(self._versions)
        both = (("made", self._made), ("scored", self._scored))
        columns = [pack(kind, rows, names) for kind, rows in both if rows]
        place = self._topic, self._partition, self.first, self.last
        return Entries(columns, self.inputs, self.late, self.wait_ms, place)


class Batch:
    """What a batch adds, by policy and epoch; and the predictions that it says have matured."""

    def __init__(self, topic: str, partition: int) -> None:
        self._topic, self._partition = topic, partition
        self.fresh: dict[tuple[str, int], Fresh] = {}
        self.matured: dict[str, list[tuple[int, int]]] = defaultdict(list)

    def of(self, policy: Policy, epoch: int, offset: int) -> Fresh:
        """Where to put what belongs to an epoch."""
        held = self.fresh.get((policy.name, epoch))
        if held is None:
            held = self.fresh[policy.name, epoch] = Fresh(self._topic, self._partition, offset)
        held.last = offset
        return held


class OpenEpoch:
    """An epoch of a policy that has not closed yet; `rows` are its state rows."""

    def __init__(self, monitoring: Monitoring) -> None:
        self.monitoring = monitoring
        self.rows: dict[bytes, bytes] = {}
        self.inputs = Lowest(monitoring.rows)
        self.late: set[int] = set()
        self.wait_ms = 0
        self._columns: list[Columns] = []
        self._gone: Rows = np.empty(0, np.uint64)
        self._places: dict[tuple[str, int], list[int]] = {}
        self._unpacked: dict[str, tuple[Rows, list[str]]] = {}

    def load(self, key: bytes, value: bytes) -> None:
        """Take a row."""
        self.rows[key] = value
        if key.startswith(GONE_ROW):
            self._gone = np.union1d(self._gone, np.frombuffer(value, np.uint64))
            return
        self.take(msgspec.msgpack.decode(value, type=Entries))

    def take(self, entries: Entries) -> None:
        """Take what a row holds."""
        self._columns += entries.columns
        for row in entries.inputs:
            self.inputs.add(row)
        self.late.update(entries.late)
        self.wait_ms = max(self.wait_ms, entries.wait_ms)
        topic, partition, first, last = entries.place
        span = self._places.setdefault((topic, partition), [first, last])
        span[0], span[1] = min(span[0], first), max(span[1], last)

    def unpacked(self, kind: str) -> tuple[Rows, list[str]]:
        """Rows of a kind, and their versions; of a closed epoch only."""
        if kind not in self._unpacked:
            self._unpacked[kind] = unpack(kind, self._columns, self._gone if kind == "scored" else None)
        return self._unpacked[kind]

    def drop(self, ids: Rows) -> dict[bytes, bytes | None]:
        """Pairs of an epoch that closes count there alone: another outcome of theirs here is no evidence."""
        parts = [np.frombuffer(part.data, SCORED)["id"] for part in self._columns if part.kind == "scored"]
        gone = np.intersect1d(ids, np.concatenate(parts)) if parts else ids[:0]
        if not len(gone):
            return {}
        key = GONE_ROW + next(iter(self.rows))[len(ENTRIES_ROW) :]
        self.load(key, np.union1d(self._gone, gone).tobytes())
        return {key: self.rows[key]}

    def digest(self) -> str:
        """Of the ids of all that counted."""
        total = blake2b(digest_size=8)
        for kind in ("made", "scored"):
            total.update(np.unique(self.unpacked(kind)[0]["id"]).tobytes())
        total.update("".join([row.hash for row in self.inputs.rows()]).encode())
        return total.hexdigest()

    def where(self) -> list[list[Any]]:
        """The offsets of its evidence."""
        return [[topic, partition, *span] for (topic, partition), span in sorted(self._places.items())]


def fold(
    held: OpenEpoch | None, champion: str, missing: MissingLabels | None, readings: Mapping[str, Gauge]
) -> dict[str, VersionMeasured]:
    """Sketches of all versions, samples of the champion. `""` stands for whatever was served."""
    found: dict[str, VersionMeasured] = {}
    of_all: dict[str, Any] = {f"gauge/{name}": gauge for name, gauge in readings.items()}
    if missing is not None:
        of_all["missing_labels"] = missing
    if held is not None:
        (made, asked), (scored, told) = held.unpacked("made"), held.unpacked("scored")
        sketches = sketches_of(made, scored, (asked, told))
        of_all |= sketches.pop("", {})
        found = {name: VersionMeasured(sketches=as_sums(each)) for name, each in sketches.items()}
        monitoring = held.monitoring
        predictions: tuple[SampledRow, ...] = ()
        losses: tuple[SampledRow, ...] = ()
        size = monitoring.rows if monitoring.drift is not None else 0
        if champion in asked and size:
            values = [made["value"], made["score"]]
            predictions = sample_of(made, asked.index(champion), size, values)
        if champion in told and size:
            lost = loss(monitoring.loss).losses(scored["value"], scored["outcome"])
            width = scored["high"] - scored["low"]
            scores = np.where(np.isfinite(width), width, scored["confidence"])
            values = [np.asarray(lost, np.float64), scores.astype(np.float64)]
            losses = sample_of(scored, told.index(champion), size, values)
        if predictions or losses:
            mine = found.get(champion, VersionMeasured())
            found[champion] = msgspec.structs.replace(mine, predictions=predictions, losses=losses)
    if of_all:
        found[""] = VersionMeasured(sketches=as_sums(of_all))
    return dict(sorted(found.items()))
