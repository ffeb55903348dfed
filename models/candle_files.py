"""Reads candles from a file and refuses what cannot be true, row by row, with the reason."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from evenhand.errors import EvenhandError
from models.candles import PRICES, Candles

if TYPE_CHECKING:
    import polars as pl

TIME_NAMES = ("open_time", "time", "timestamp", "date", "datetime")
Numbers = dict[str, npt.NDArray[np.float64]]
_SHOWN = 10
_EARLIEST_MS = 31_536_000_000  # 1971: smaller numbers are seconds
_LATEST_MS = 32_503_680_000_000  # the year 3000: greater numbers are micro- or nanoseconds


class InvalidCandles(EvenhandError):
    """A file that holds no usable candles. The message names the first bad rows and the reason for each."""

    def __init__(self, source: str, reasons: list[tuple[int, str]], total: int) -> None:
        """Name at most the first ten bad rows, counted from 1 without a header."""
        self.rows = reasons
        lines = "".join(f"\n  row {row}: {reason}" for row, reason in reasons[:_SHOWN])
        more = f"\n  and {total - _SHOWN} more" if total > _SHOWN else ""
        super().__init__(f"{source}: {total} bad rows (counted from 1, without the header); correct them:{lines}{more}")


def read_candles(path: Path, interval_ms: int | None = None, repairs: list[str] | None = None) -> Candles:
    """Read a CSV or Parquet file with the columns open_time (or time, date, ...), open, high, low, close, volume.

    Times are timestamps, ISO 8601 text (UTC unless it says otherwise) or integer milliseconds. Nothing is repaired:
    unordered, duplicated, incomplete or impossible rows raise InvalidCandles with row and reason. Missing candles are
    no error; they are gaps. The interval is the most frequent distance unless given. Rows whose column `closed`
    is false are no candles yet, and left out.

    With `repairs`, a list that gets a line for each repair: times in other units become milliseconds, rows are put in
    order, the last of those with the same time counts, and rows that cannot be true are left out, so they become gaps.
    """
    frame = read_frame(path)
    return candles_from_frame(frame, str(path), interval_ms, repairs)


def read_frame(path: Path) -> "pl.DataFrame":
    """Read a CSV or Parquet file. Raises EvenhandError, naming the file, where that cannot be."""
    import polars as pl  # noqa: PLC0415  half a second that only a reader of files should pay

    suffix = path.suffix.lower()
    if not path.is_file():
        raise EvenhandError(f"{path}: there is no such file")
    if suffix not in {".csv", ".parquet"}:
        raise EvenhandError(f"{path}: expected a .csv or .parquet file ")
    try:
        frame = pl.read_parquet(path) if suffix == ".parquet" else pl.read_csv(path, infer_schema_length=10_000)
    except pl.exceptions.PolarsError as error:
        raise EvenhandError(f"{path}: cannot be read as {suffix[1:]}: {error}") from error
    return frame


def times_of(frame: "pl.DataFrame", source: str) -> npt.NDArray[np.int64]:
    """Return the times of rows, in ms; the first column that is called as times are. Without any, they are counted."""
    names = {name.strip().lower(): name for name in frame.columns}
    name = next((names[one] for one in TIME_NAMES if one in names), None)
    if name is None:
        return np.arange(len(frame), dtype=np.int64) * 1000
    times = _times_ms(frame[name])
    if times.null_count():
        raise EvenhandError(f"{source}: {times.null_count()} rows have no {name} that can be read")
    at = times.to_numpy().astype(np.int64)
    wrong = np.flatnonzero((at < _EARLIEST_MS) | (at > _LATEST_MS)).tolist()
    if wrong:
        reason = f"{name} is not in milliseconds since 1970"
        raise InvalidCandles(source, [(row + 1, reason) for row in wrong[:_SHOWN]], len(wrong))
    return at


def candles_from_frame(
    frame: "pl.DataFrame", source: str, interval_ms: int | None = None, repairs: list[str] | None = None
) -> Candles:
    """Check a frame as `read_candles` does; `source` is what errors call it."""
    import polars as pl  # noqa: PLC0415

    names = [name.strip().lower() for name in frame.columns]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise EvenhandError(f"{source}: two columns are called {', '.join(twice)}, whatever their case: keep one")
    frame = frame.rename(dict(zip(frame.columns, names, strict=True)))
    time_name = next((name for name in TIME_NAMES if name in frame.columns), None)
    missing = [name for name in (*PRICES, "volume") if name not in frame.columns]
    if time_name is None or missing:
        absent = [*([] if time_name else ["open_time"]), *missing]
        raise EvenhandError(f"{source}: no column {', '.join(absent)}; its columns are {', '.join(frame.columns)}")
    if frame.is_empty():
        raise EvenhandError(f"{source}: holds no candles")
    if "closed" in frame.columns:
        frame = frame.filter(pl.col("closed").cast(pl.Boolean, strict=False).fill_null(value=True))
        if frame.is_empty():
            raise EvenhandError(f"{source}: holds no candle that has closed")
    times = _times_ms(frame[time_name])
    if repairs is not None:
        frame, times = _repaired(frame, times, repairs)
    numbers = _numbers(frame)
    _refuse_bad_rows(times, numbers, source)
    open_time = times.to_numpy().astype(np.int64)
    if interval_ms is None:
        interval_ms = _interval(open_time, source)
    opened, high, low, close, volume = (numbers[name] for name in (*PRICES, "volume"))
    return Candles(open_time, opened, high, low, close, volume, interval_ms)


def _numbers(frame: "pl.DataFrame") -> Numbers:
    import polars as pl  # noqa: PLC0415

    return {
        name: frame[name].cast(pl.Float64, strict=False).fill_null(float("nan")).to_numpy()
        for name in (*PRICES, "volume")
    }


def _times_ms(column: "pl.Series") -> "pl.Series":
    """Return times as ms UTC, null where there is none."""
    import polars as pl  # noqa: PLC0415

    if column.dtype == pl.String:
        column = column.str.to_datetime(time_unit="ms", time_zone="UTC", strict=False)
    if column.dtype == pl.Date:
        column = column.cast(pl.Datetime("ms"))
    if isinstance(column.dtype, pl.Datetime):
        return column.dt.epoch(time_unit="ms")
    return column.cast(pl.Int64, strict=False)


def _refuse_bad_rows(times: "pl.Series", numbers: Numbers, source: str) -> None:
    """Raise InvalidCandles for everything that is wrong, the first reason for each row."""
    tests = _tests(times, numbers)
    bad = np.logical_or.reduce([wrong for _, wrong in tests])
    if bad.any():
        rows = np.flatnonzero(bad)
        reasons = [(int(row) + 1, next(text for text, wrong in tests if wrong[row])) for row in rows[:_SHOWN]]
        raise InvalidCandles(source, reasons, len(rows))


def _tests(times: "pl.Series", numbers: Numbers) -> list[tuple[str, npt.NDArray[np.bool_]]]:
    """What may be wrong with a row, and which rows it is wrong with. The first four are about its time."""
    at = times.cast(float).fill_null(float("nan")).to_numpy()
    before = np.concatenate([[-np.inf], at[:-1]])
    opened, high, low, close, volume = (numbers[name] for name in (*PRICES, "volume"))
    return [
        ("open_time is missing or cannot be read", np.isnan(at)),
        ("open_time is not in milliseconds since 1970", (at < _EARLIEST_MS) | (at > _LATEST_MS)),
        ("open_time repeats that of the row before", at == before),
        ("open_time lies before that of the row before", at < before),
        *((f"{name} is missing, NaN or infinite", ~np.isfinite(values)) for name, values in numbers.items()),
        ("a price is not positive", np.minimum(np.minimum(opened, close), low) <= 0),
        ("high is below low", high < low),
        ("open lies outside low to high", (opened < low) | (opened > high)),
        ("close lies outside low to high", (close < low) | (close > high)),
        ("volume is negative", volume < 0),
    ]


def _repaired(frame: "pl.DataFrame", times: "pl.Series", repairs: list[str]) -> tuple["pl.DataFrame", "pl.Series"]:
    """Make of a frame what can be made of it; `repairs` gets what was done."""
    import polars as pl  # noqa: PLC0415

    middle = times.median()
    for unit, per_ms in (("seconds", 1e-3), ("microseconds", 1e3), ("nanoseconds", 1e6)):
        if isinstance(middle, int | float) and _EARLIEST_MS < middle / per_ms < _LATEST_MS and not (
            _EARLIEST_MS < middle < _LATEST_MS
        ):  # fmt: skip
            times = (times / per_ms).cast(pl.Int64)
            repairs.append(f"open_time was in {unit}")
    row = "row, from 1"
    whole = frame.with_columns(times.alias("open_time in ms"), pl.int_range(1, pl.len() + 1).alias(row))
    ordered = whole.sort("open_time in ms", maintain_order=True, nulls_last=True)
    moved = int((ordered[row].diff().fill_null(1) < 0).sum())
    if moved:
        repairs.append(f"{moved} rows stood before earlier ones: put in order")
    single = ordered.unique("open_time in ms", keep="last", maintain_order=True)
    if len(single) < len(ordered):
        repairs.append(f"{len(ordered) - len(single)} rows had the time of another: the last one counts")
    tests = _tests(single["open_time in ms"], _numbers(single))
    bad = np.logical_or.reduce([wrong for _, wrong in tests])
    for place in np.flatnonzero(bad)[:_SHOWN].tolist():
        reason = next(text for text, wrong in tests if wrong[place])
        repairs.append(f"row {single[row][place]} left out: {reason}")
    if bad.sum() > _SHOWN:
        repairs.append(f"{int(bad.sum()) - _SHOWN} more rows left out")
    kept = single.filter(~bad)
    if kept.is_empty():
        repairs.append("nothing is left")
        return frame, times
    return kept.select(frame.columns), kept["open_time in ms"]


def _interval(open_time: npt.NDArray[np.int64], source: str) -> int:
    """Return the most frequent distance between two candles."""
    if len(open_time) < 2:
        raise EvenhandError(f"{source}: holds one candle only; give the interval")
    distances, counts = np.unique(np.diff(open_time), return_counts=True)
    return int(distances[np.argmax(counts)])
