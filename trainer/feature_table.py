"""A table of features and a target, as somebody else has computed them: columns by name, rows in order of time."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from evenhand.errors import EvenhandError, InvalidConfiguration
from evenhand.training.examples import FloatArray, IntArray
from models.candle_files import InvalidCandles, read_frame, times_of
from models.convert import nearest
from models.training import Table

if TYPE_CHECKING:
    import polars as pl

_LEAST_TARGETS = 100
_LEVEL = 0.98  # autocorrelation of what does not change but stands


def read_feature_table(path: Path, features: Sequence[str], target: str, steps: int) -> tuple[Table, int, str]:
    """Read rows and targets; return them with the distance of rows in ms, and a digest of the numbers.

    `target` of a row is what is to be forecast from it, known when the next row is: step k answers with that of k - 1
    rows later, as long as no row is missing between. Raises with row and reason for rows that are unordered or doubled,
    or have a feature that is no number.
    """
    frame = read_frame(path)
    for name in (*features, target):
        if name not in frame.columns:
            raise InvalidConfiguration(f"{path}: there is no column {name!r}{nearest(name, frame.columns)}")
    if target in features:
        raise InvalidConfiguration(f"{target!r} is the target: as a feature it would forecast itself")
    if len(frame) < _LEAST_TARGETS:
        raise EvenhandError(f"{path}: {len(frame)} rows are too few to learn from")
    times = times_of(frame, str(path))
    rows = _numbers(frame, features)
    _refuse(path, times, rows, features)
    interval = int(np.median(np.diff(times)))
    labels = _numbers(frame, [target])[:, 0]
    labels[np.isinf(labels)] = np.nan
    _refuse_levels(path, target, labels)
    targets = np.full((len(rows), steps), np.nan)
    whole = np.ones(len(rows), dtype=np.bool_)  # whether no row is missing from here to where the label stands
    follows = np.append(np.diff(times) == interval, False)
    for step in range(min(steps, len(rows))):
        ahead = np.roll(labels, -step)
        targets[:, step] = np.where(whole, ahead, np.nan)
        whole &= np.roll(follows, -step)
    digest = hashlib.sha256(times.astype("<i8").tobytes())
    for numbers in (rows, labels):
        digest.update(numbers.astype("<f8").tobytes())
    return Table(times - interval, rows, targets), interval, digest.hexdigest()


def known_at(table: Table, interval: int) -> IntArray:
    """When the target of each step was known, in ms: with the row that many rows later, however far away that is."""
    times, steps = table.open_time + interval, table.targets.shape[1]
    later = np.append(times, times[-1] + interval * np.arange(1, steps + 1, dtype=np.int64))
    return np.column_stack([later[step : step + len(times)] for step in range(1, steps + 1)])


def _numbers(frame: "pl.DataFrame", names: Sequence[str]) -> FloatArray:
    import polars as pl  # noqa: PLC0415

    columns = [frame[name].cast(pl.Float64, strict=False).fill_null(float("nan")).to_numpy() for name in names]
    return np.column_stack(columns).astype(np.float64)


def _refuse(path: Path, times: IntArray, rows: FloatArray, features: Sequence[str]) -> None:
    late = np.flatnonzero(np.diff(times, prepend=times[0] - 1) <= 0).tolist()
    holes = np.argwhere(~np.isfinite(rows)).tolist()
    wrong = [(place + 1, "its time is not after that of the row before") for place in late]
    wrong += [(place + 1, f"{features[column]} is missing, NaN or infinite") for place, column in holes]
    if wrong:
        raise InvalidCandles(str(path), sorted(wrong)[:10], len(wrong))


def _refuse_levels(path: Path, target: str, labels: FloatArray) -> None:
    known = labels[np.isfinite(labels)]
    if len(known) < _LEAST_TARGETS:
        raise EvenhandError(f"{path}: {len(known)} targets are too few to learn from")
    if known.std() > 0 and np.corrcoef(known[:-1], known[1:])[0, 1] > _LEVEL:
        raise EvenhandError(
            f"{path}: {target!r} looks like a level, such as a price: whoever repeats the last one seems to know the "
            "next. Give its change, such as ln(next / this)"
        )
