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


def read_candles(path: Path, interval_ms: int | None = None) -> Candles:
    """Read a CSV or Parquet file with the columns open_time (or time, date, ...), open, high, low, close, volume.

    Times are timestamps, ISO 8601 text (UTC unless it says otherwise) or integer milliseconds. Nothing is repaired:
    unordered, duplicated, incomplete or impossible rows raise InvalidCandles with row and reason. Missing candles are
    no error; they are gaps. The interval is the most frequent distance unless given.
    """
    import polars as pl  # noqa: PLC0415  half a second that only a reader of files should pay

    suffix = path.suffix.lower()
    if not path.is_file():
        raise EvenhandError(f"{path}: there is no such file")
    if suffix not in {".csv", ".parquet"}:
        raise EvenhandError(f"{path}: expected a .csv or .parquet file of candles")
    try:
        frame = pl.read_parquet(path) if suffix == ".parquet" else pl.read_csv(path, infer_schema_length=10_000)
    except pl.exceptions.PolarsError as error:
        raise EvenhandError(f"{path}: cannot be read as {suffix[1:]}: {error}") from error
    return candles_from_frame(frame, str(path), interval_ms)


def candles_from_frame(frame: "pl.DataFrame", source: str, interval_ms: int | None = None) -> Candles:
    """Check a frame as `read_candles` does; `source` is what errors call it."""
    import polars as pl  # noqa: PLC0415

    frame = frame.rename({name: name.strip().lower() for name in frame.columns})
    time_name = next((name for name in TIME_NAMES if name in frame.columns), None)
    missing = [name for name in (*PRICES, "volume") if name not in frame.columns]
    if time_name is None or missing:
        absent = [*([] if time_name else ["open_time"]), *missing]
        raise EvenhandError(f"{source}: no column {', '.join(absent)}; its columns are {', '.join(frame.columns)}")
    if frame.is_empty():
        raise EvenhandError(f"{source}: holds no candles")
    times = _times_ms(frame[time_name])
    numbers = {
        name: frame[name].cast(pl.Float64, strict=False).fill_null(float("nan")).to_numpy()
        for name in (*PRICES, "volume")
    }
    _refuse_bad_rows(times, numbers, source)
    open_time = times.to_numpy().astype(np.int64)
    if interval_ms is None:
        interval_ms = _interval(open_time, source)
    opened, high, low, close, volume = (numbers[name] for name in (*PRICES, "volume"))
    return Candles(open_time, opened, high, low, close, volume, interval_ms)


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


def _refuse_bad_rows(times: "pl.Series", numbers: dict[str, npt.NDArray[np.float64]], source: str) -> None:
    """Raise InvalidCandles for everything that is wrong, the first reason for each row."""
    at = times.cast(float).fill_null(float("nan")).to_numpy()
    before = np.concatenate([[-np.inf], at[:-1]])
    opened, high, low, close, volume = (numbers[name] for name in (*PRICES, "volume"))
    tests = [
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
    bad = np.logical_or.reduce([wrong for _, wrong in tests])
    if bad.any():
        rows = np.flatnonzero(bad)
        reasons = [(int(row) + 1, next(text for text, wrong in tests if wrong[row])) for row in rows[:_SHOWN]]
        raise InvalidCandles(source, reasons, len(rows))


def _interval(open_time: npt.NDArray[np.int64], source: str) -> int:
    """Return the most frequent distance between two candles."""
    if len(open_time) < 2:
        raise EvenhandError(f"{source}: holds one candle only; give the interval")
    distances, counts = np.unique(np.diff(open_time), return_counts=True)
    return int(distances[np.argmax(counts)])
