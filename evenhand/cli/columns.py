"""Predictions and outcomes from files of a user's own: which column is what, and which rows belong together."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from evenhand.errors import InvalidConfiguration

if TYPE_CHECKING:
    import polars as pl

    from evenhand.experiments.files import Columns

IDS = ("request_id", "prediction_id", "id")
KEYS = ("key", "series", "symbol", "entity", "unique_id")
TIMES = ("target_time", "time", "timestamp", "datetime", "date", "ds")
PREDICTIONS = ("prediction", "predicted", "forecast", "y_pred", "yhat", "y_hat", "pred", "value")
OUTCOMES = ("outcome", "actual", "y_true", "truth", "observed", "target", "label", "y", "value")
CLUSTERS = ("cluster", "target_time")
ROW, OUTCOME, TIME = "_row", "_outcome", "_time"


class Source(NamedTuple):
    """A file and the column of it that is meant, as in `a.parquet`, `all.csv:lstm` or `lstm=all.csv:y1`."""

    name: str
    path: Path
    column: str | None


class Joined(NamedTuple):
    """What was read, which column is its time (if it is a date), by what rows were joined, what a user should know."""

    columns: "Columns"
    time: str | None
    is_dated: bool
    on: list[str]
    cluster: list[str]
    notes: list[str]


def source(text: str) -> Source:
    """Read `[NAME=]FILE[:COLUMN]`; a file of exactly that name comes first."""
    name, column, path = "", None, text
    if not Path(path).is_file() and "=" in path:
        name, _, path = path.partition("=")
    if not Path(path).is_file() and ":" in path:
        path, _, column = path.rpartition(":")
    if not Path(path).is_file():
        raise InvalidConfiguration(f"there is no file {path!r}: write [NAME=]FILE[:COLUMN], FILE a .parquet or a .csv")
    plain = "".join(c if c.isalnum() or c in "._@-" else "-" for c in (name or column or Path(path).stem))
    return Source(plain.lstrip("._@-") or "predictions", Path(path), column)


def join(
    predictions: Sequence[Source], outcomes: Source, on: list[str], time: str | None, cluster: list[str]
) -> Joined:
    """All rows of any prediction, with their outcomes. Raises InvalidConfiguration with what to change."""
    import polars as pl

    sources, notes = [*predictions, outcomes], list[str]()
    frames = [_read(each.path) for each in sources]
    on = on or _common(frames)
    if not on:
        frames, on = _by_row(frames, sources), [ROW]
        notes.append("no column to join by: row i of one file belongs to row i of the others")
    parts = [
        _part(frame, each, on, names, notes)
        for frame, each, names in zip(frames, sources, [*[PREDICTIONS] * len(predictions), OUTCOMES], strict=True)
    ]
    try:
        rows = pl.concat([part.select(on) for part in parts[:-1]]).unique(maintain_order=True)
        for part in parts:
            rows = rows.join(part, on=on, how="left", maintain_order="left")
    except (pl.exceptions.SchemaError, pl.exceptions.ComputeError) as error:
        raise InvalidConfiguration(f"columns {on} have other types in other files: {error}") from None
    rows = _with_others(rows, frames, on, [time] if time else TIMES, cluster or CLUSTERS)
    _check_overlap(rows, predictions, on)
    at = time or next((name for name in TIMES if name in rows.columns), None)
    for option, wanted in (("--time", [at] if at else []), ("--cluster", cluster)):
        if strange := [name for name in wanted if name not in rows.columns]:
            raise InvalidConfiguration(f"{option} {strange[0]}: no file has that column: {_all(frames)}")
    by = cluster or _cluster(rows, on)
    dated = at is not None and rows[at].dtype.is_temporal()
    joined_by, shared = ([name for name in names if name != ROW] for names in (on, by))
    return Joined(_columns(rows, predictions, at, by), at, dated, joined_by, shared, notes)


def _read(path: Path) -> "pl.DataFrame":
    import polars as pl

    try:
        if path.suffix.lower() in {".parquet", ".pq"}:
            frame = pl.read_parquet(path)
        elif path.suffix.lower() in {".csv", ".tsv", ".txt"}:
            frame = pl.read_csv(
                path, separator="\t" if path.suffix.lower() == ".tsv" else ",", try_parse_dates=True,
                infer_schema_length=None,
            )  # fmt: skip
        else:
            raise InvalidConfiguration(f"{path} is neither .parquet nor .csv: write it as one of them")
    except (pl.exceptions.PolarsError, OSError) as error:
        raise InvalidConfiguration(f"{path} cannot be read: {error}") from None
    if frame.is_empty():
        raise InvalidConfiguration(f"{path} has no rows")
    dates = [name for name, kind in frame.schema.items() if isinstance(kind, (pl.Date, pl.Datetime))]
    return frame.with_columns(pl.col(dates).cast(pl.Datetime("ms"))).with_columns(
        pl.col(dates).dt.replace_time_zone(None)
    )


def _common(frames: "Sequence[pl.DataFrame]") -> list[str]:
    """An id that every file has, else a time that every file has, and the keys."""
    shared = set.intersection(*[set(frame.columns) for frame in frames])
    for name in IDS:
        if name in shared:
            return [name]
    time = next((name for name in TIMES if name in shared), None)
    return [] if time is None else [*[name for name in KEYS if name in shared], time]


def _by_row(frames: "Sequence[pl.DataFrame]", sources: Sequence[Source]) -> "list[pl.DataFrame]":
    heights = {str(each.path): frame.height for frame, each in zip(frames, sources, strict=True)}
    if len(set(heights.values())) > 1:
        raise InvalidConfiguration(
            f"the files share no column of {[*IDS, *TIMES]} and differ in length, {heights}: name what joins them with "
            "--on COLUMN"
        )
    return [frame.with_row_index(ROW) for frame in frames]


def _part(frame: "pl.DataFrame", of: Source, on: list[str], names: Sequence[str], notes: list[str]) -> "pl.DataFrame":
    """What joins, and the value under the source's name: each row once."""
    import polars as pl

    if missing := [name for name in on if name not in frame.columns]:
        raise InvalidConfiguration(f"{of.path} has no column {missing[0]!r} to join by: it has {frame.columns}")
    column = of.column or _value(frame, of, on, names)
    if column not in frame.columns:
        raise InvalidConfiguration(f"{of.path} has no column {column!r}: it has {frame.columns}")
    if not (frame[column].dtype.is_numeric() or frame[column].dtype == pl.Boolean):
        raise InvalidConfiguration(f"{of.path}: column {column!r} holds {frame[column].dtype}, and no numbers")
    value = pl.col(column).cast(pl.Float64)
    part = frame.select(*on, pl.when(value.is_finite()).then(value).alias(of.name))
    once = part.unique(maintain_order=True)
    if once.height < part.height:
        notes.append(f"{of.path}: {part.height - once.height} rows are there twice, each counts once")
    twice = once.filter(once.select(on).is_duplicated())
    if twice.height:
        first = twice.row(0, named=True)
        raise InvalidConfiguration(
            f"{of.path}: {twice.height} rows contradict each other, such as those of "
            f"{', '.join(f'{name} {first[name]}' for name in on)}: name every column that tells rows apart, with --on"
        )
    return once.with_columns(pl.lit(value=True).alias(f"{of.name}?"))


def _value(frame: "pl.DataFrame", of: Source, on: list[str], names: Sequence[str]) -> str:
    for name in names:
        if name in frame.columns and name not in on:
            return name
    others = {*on, *IDS, *KEYS, *TIMES, *CLUSTERS}
    numeric = [name for name in frame.columns if name not in others and frame[name].dtype.is_numeric()]
    if len(numeric) == 1:
        return numeric[0]
    raise InvalidConfiguration(f"{of.path}: which column is meant? Write {of.path}:COLUMN, one of {frame.columns}")


def _with_others(
    rows: "pl.DataFrame", frames: "Sequence[pl.DataFrame]", on: list[str], *wanted: Sequence[str]
) -> "pl.DataFrame":
    """Rows with the columns for time and cluster, each from the first file that has it."""
    for name in dict.fromkeys([*KEYS, *[each for names in wanted for each in names]]):
        holder = next((frame for frame in frames if name in frame.columns), None)
        if name not in rows.columns and holder is not None:
            others = holder.select(*on, name).unique(subset=on, keep="first", maintain_order=True)
            rows = rows.join(others, on=on, how="left", maintain_order="left")
    return rows


def _check_overlap(rows: "pl.DataFrame", predictions: Sequence[Source], on: list[str]) -> None:
    first, said = predictions[0].name, f"joined by {', '.join(on)}"
    if rows[OUTCOME].is_null().all():
        raise InvalidConfiguration(
            f"no prediction has an outcome, {said}: compare the values of those columns, or --on"
        )
    for each in predictions[1:]:
        if not (rows[f"{first}?"] & rows[f"{each.name}?"]).any():
            raise InvalidConfiguration(
                f"{first} and {each.name} have no row in common, {said}: both must predict the same (in shadow), "
                "traffic that was split is judged by an experiment"
            )


def _cluster(rows: "pl.DataFrame", on: list[str]) -> list[str]:
    """What shares an outcome: a column of that name, the key and the target time, else the row."""
    if "cluster" in rows.columns:
        return ["cluster"]
    if "target_time" in rows.columns:
        return [*[name for name in KEYS if name in rows.columns], "target_time"]
    return on


def _columns(rows: "pl.DataFrame", predictions: Sequence[Source], at: str | None, by: list[str]) -> "Columns":
    import numpy as np
    import polars as pl

    from evenhand.experiments.files import in_order

    if at is None:
        time = np.arange(rows.height)
    else:
        if missing := rows[at].null_count():
            raise InvalidConfiguration(
                f"column {at}: {missing} rows have no time: fill them, or name another with --time"
            )
        kept = rows[at].dtype.is_temporal() or rows[at].dtype.is_integer()
        time = (rows[at].cast(pl.Int64) if kept else rows[at].rank("dense")).to_numpy()
    of = rows.select(pl.struct(by).rank("dense")).to_series().to_numpy()
    return in_order(
        time.astype(np.int64), of.astype(np.int64), rows[OUTCOME].to_numpy().astype(np.float64),
        {each.name: rows[each.name].to_numpy().astype(np.float64) for each in predictions},
        {each.name: rows[f"{each.name}?"].fill_null(value=False).to_numpy() for each in predictions},
    )  # fmt: skip


def _all(frames: "Sequence[pl.DataFrame]") -> str:
    return f"they have {sorted({name for frame in frames for name in frame.columns})}"
