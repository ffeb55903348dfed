"""What a batch adds to an open epoch, as columns: a row of fixed length for each version and prediction.

Copies are told apart when the epoch closes: of all that is said of one id the least counts, in the order of the
columns, so the order of arrival does not. Outcomes are in the order in which attribution prefers them.
"""

from collections.abc import Iterable, Mapping
from functools import lru_cache
from hashlib import blake2b
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from evenhand.events import SampledRow
from evenhand.metrics.accuracy import Accuracy
from evenhand.metrics.calibration import Calibration
from evenhand.metrics.coverage import Coverage
from evenhand.metrics.error_fraction import ErrorFraction
from evenhand.metrics.label_delay import LabelDelay
from evenhand.metrics.response_time import ResponseTime
from evenhand.metrics.rmse import Rmse
from evenhand.metrics.sketch import SKETCHES, Sketch
from evenhand.metrics.throughput import Throughput

Rows = NDArray[Any]
MADE = np.dtype(
    [
        ("id", "u8"), ("served", "u4"), ("version", "u4"), ("failed", "u1"), ("steps", "u2"), ("ms", "f4"),
        ("time", "i8"), ("cluster", "u8"), ("value", "f8"), ("score", "f8"),
    ]
)  # fmt: skip
SCORED = np.dtype(
    [
        ("id", "u8"), ("outcome_time", "i8"), ("served", "u4"), ("version", "u4"), ("time", "i8"), ("cluster", "u8"),
        ("value", "f8"), ("outcome", "f8"), ("delay_s", "f4"), ("confidence", "f4"), ("low", "f8"), ("high", "f8"),
    ]
)  # fmt: skip
DTYPES = {"made": MADE, "scored": SCORED}
NAN = float("nan")


class Columns(msgspec.Struct, frozen=True, array_like=True):
    """Rows of one kind; `versions` are what their column of that name counts in."""

    kind: str
    versions: list[str]
    data: bytes


@lru_cache(65_536)
def number_of(name: str) -> int:
    """A name as 64 bits, the same everywhere."""
    return int.from_bytes(blake2b(name.encode(), digest_size=8).digest(), "big")


def pack(kind: str, rows: list[tuple[Any, ...]], versions: list[str]) -> Columns:
    """Rows as columns."""
    return Columns(kind, versions, np.array(rows, DTYPES[kind]).tobytes())


def unpack(kind: str, parts: Iterable[Columns], gone: Rows | None = None) -> tuple[Rows, list[str]]:
    """All rows of a kind, each id once, in the order of ids, without those `gone`; and their versions, in order."""
    mine = [part for part in parts if part.kind == kind]
    names = sorted({name for part in mine for name in part.versions})
    if not mine:
        return np.empty(0, DTYPES[kind]), names
    tables = []
    for part in mine:
        rows = np.frombuffer(part.data, DTYPES[kind]).copy()
        number = np.array([names.index(name) for name in part.versions], np.uint32)
        rows["version"], rows["served"] = number[rows["version"]], number[rows["served"]]
        tables.append(rows)
    every = np.concatenate(tables)
    if gone is not None and len(gone):
        every = every[~np.isin(every["id"], gone)]
    # Copies of a prediction differ in how long they took, if at all: there the first in the log counts.
    by = ("id", "served", "version") if kind == "made" else DTYPES[kind].names or ()
    every = every[np.lexsort([every[name] for name in reversed(by)])]
    # The first row of an id says which event is the one that counts: its rows have the same head.
    head = [name for name in ("id", "outcome_time", "served") if name in (DTYPES[kind].names or ())]
    first = np.flatnonzero(_changes(every, ["id"]))
    leader = np.repeat(first, np.diff(np.append(first, len(every))))
    counts = np.all([every[name] == every[name][leader] for name in head], axis=0)
    return every[counts & _changes(every, [*head, "version"])], names


def _changes(rows: Rows, names: list[str]) -> NDArray[np.bool_]:
    """Where a row differs from the one before it."""
    changed = np.ones(len(rows), np.bool_)
    changed[1:] = np.any([rows[name][1:] != rows[name][:-1] for name in names], axis=0)
    return changed


def sketches_of(made: Rows, scored: Rows, names: tuple[list[str], list[str]]) -> dict[str, dict[str, Sketch]]:
    """Sketches by version; those of `""` are of whatever was served. What a version said in shadow has losses alone."""
    found: dict[str, dict[str, Sketch]] = {}
    served = made[made["served"] == made["version"]]
    for name, rows in [("", served), *((each, served[served["version"] == i]) for i, each in enumerate(names[0]))]:
        if len(rows):
            found.setdefault(name, {}).update(_of_made(rows))
    served = scored[scored["served"] == scored["version"]]
    for name, rows in [("", served), *((each, scored[scored["version"] == i]) for i, each in enumerate(names[1]))]:
        if len(rows):
            found.setdefault(name, {}).update(_of_scored(rows))
    return found


def sample_of(rows: Rows, version: int, size: int, values: list[NDArray[np.float64]]) -> tuple[SampledRow, ...]:
    """Of a version's rows one for each cluster, the earliest; of the clusters those of the least hashes."""
    place = np.flatnonzero((rows["version"] == version) & np.isfinite(values[0]))
    place = place[np.lexsort([*(value[place] for value in reversed(values)), rows["time"][place]])]
    clusters, first = np.unique(rows["cluster"][place], return_index=True)
    kept = place[first[:size]]
    columns = [value[kept].tolist() for value in values]
    return tuple(
        SampledRow(f"{cluster:016x}", time, tuple(each for each in row if each == each))  # noqa: PLR0124 - not NaN
        for cluster, time, *row in zip(clusters[:size].tolist(), rows["time"][kept].tolist(), *columns, strict=True)
    )


def _of_made(rows: Rows) -> dict[str, Sketch]:
    answered, taken = rows[rows["failed"] == 0], rows["ms"][np.isfinite(rows["ms"])]
    sketches: dict[str, Sketch] = {
        "error_fraction": ErrorFraction().add(len(rows), len(rows) - len(answered)),
        "throughput": Throughput().add(len(rows), 0),
    }
    if len(taken):
        sketches["response_time"] = ResponseTime().add(taken)
    return sketches


def _of_scored(rows: Rows) -> dict[str, Sketch]:
    values, outcomes = rows["value"], rows["outcome"]
    sketches: dict[str, Sketch] = {
        "accuracy": Accuracy().add(values, outcomes),
        "rmse": Rmse().add(values, outcomes),
    }
    delays = rows["delay_s"][np.isfinite(rows["delay_s"])]
    if len(delays):
        sketches["label_delay"] = LabelDelay().add(np.maximum(delays, 0.0))
    sure = rows[(rows["confidence"] >= 0) & (rows["confidence"] <= 1)]
    if len(sure):
        right = 0.5 + 0.5 * np.sign(sure["value"]) * np.sign(sure["outcome"])
        sketches["calibration"] = Calibration().add(sure["confidence"], right)
    within = rows[np.isfinite(rows["low"]) & np.isfinite(rows["high"])]
    if len(within):
        sketches["coverage"] = Coverage().add(within["low"], within["high"], within["outcome"])
    return sketches


def as_sums(sketches: Mapping[str, Sketch]) -> dict[str, Any]:
    """Sketches as an event has them."""
    return {name: msgspec.to_builtins(sketch, str_keys=True) for name, sketch in sorted(sketches.items())}


def from_sums(sums: Mapping[str, Any]) -> dict[str, Sketch]:
    """The sketches of an event; a name may go on after a slash: `gauge/cpu_percent`. Unknown kinds are passed over."""
    return {
        name: msgspec.convert(each, SKETCHES[name.split("/")[0]], strict=False)
        for name, each in sums.items()
        if name.split("/")[0] in SKETCHES
    }
