"""Histories to calibrate drift on: a file of a user's own, or what the loop has measured."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from evenhand.events import SampledRow
    from evenhand.monitoring import DriftRule, Monitoring

TIMES = ("time", "open_time", "timestamp", "date", "datetime")


def of_file(path: Path, rule: "DriftRule", monitoring: "Monitoring") -> "list[tuple[int, list[SampledRow]]]":
    """Rows of a .csv or .parquet file by epoch: columns of features with a time, or candles."""
    import polars as pl

    from evenhand.drift.calibrate import by_epoch
    from evenhand.drift.lowest import cluster_hash
    from evenhand.errors import InvalidConfiguration
    from evenhand.events import FIRST_MS, LAST_MS, SampledRow

    frame = _read(path)
    missing = [name for name in rule.looked_at if name not in frame.columns]
    if missing and {"open", "high", "low", "close"} <= set(frame.columns):
        frame, missing = _features(path, rule), []
    if missing:
        raise InvalidConfiguration(f"{path} has no column {missing[0]!r}: it has {', '.join(frame.columns)}")
    time = next((each for each in TIMES if each in frame.columns), None)
    if time is None:
        raise InvalidConfiguration(f"{path} has no column of times: name one `time`, milliseconds UTC or ISO 8601")
    try:
        if frame[time].dtype == pl.String:
            frame = frame.with_columns(pl.col(time).str.to_datetime(time_unit="ms", time_zone="UTC"))
        if frame[time].dtype.is_temporal():
            frame = frame.with_columns(pl.col(time).cast(pl.Datetime("ms")))
        names = list(rule.looked_at)
        rows = frame.select(pl.col(time).cast(pl.Int64), pl.col(names).cast(pl.Float64))
    except pl.exceptions.PolarsError as error:
        raise InvalidConfiguration(f"--data {path}: {str(error).splitlines()[0]}") from None
    rows = rows.drop_nulls().filter(pl.all_horizontal(pl.col(names).is_finite()))
    if strange := rows.filter(~pl.col(time).is_between(FIRST_MS, LAST_MS))[time].to_list():
        raise InvalidConfiguration(
            f"--data {path}: {time} {strange[0]} is not between 2000 and 2100: write milliseconds UTC, or ISO 8601"
        )
    return by_epoch(
        [SampledRow(cluster_hash(str(number)), row[0], row[1:]) for number, row in enumerate(rows.rows())],
        monitoring.epoch_s * 1000,
    )  # fmt: skip


def _read(path: Path) -> Any:
    import polars as pl

    from evenhand.errors import InvalidConfiguration

    try:
        return pl.read_parquet(path) if path.suffix == ".parquet" else pl.read_csv(path, infer_schema_length=10_000)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise InvalidConfiguration(f"--data {path}: {error}; give a .csv or .parquet file") from None


def _features(path: Path, rule: "DriftRule") -> Any:
    """The features of candles, known when each has closed."""
    import numpy as np
    import polars as pl

    from evenhand.cli.loop import configuration
    from models.beside import with_series
    from models.candle_files import read_candles
    from models.features.engine import FeatureEngine

    candles = read_candles(path)
    for endpoint in configuration().models.models.values():
        if set(rule.looked_at) <= set(endpoint.signature().features):
            candles = with_series(candles, path.parent, endpoint.features)
            engine = FeatureEngine.declared(endpoint.features, candles.interval_ms)
            values = engine.batch(candles)
            warm = np.isfinite(values).all(axis=1)
            columns = {name: values[warm, place] for place, name in enumerate(engine.names)}
            return pl.DataFrame({"time": candles.open_time[warm] + candles.interval_ms, **columns})
    raise AssertionError("the rule is of a model of models.yaml")


async def of_log(model: str, monitoring: "Monitoring") -> "list[tuple[int, list[SampledRow]]]":
    """The samples that the loop has measured, merged over partitions; of epochs of the declared length."""
    import msgspec

    from evenhand.cli.loop import open_log
    from evenhand.drift.lowest import merged
    from evenhand.errors import InvalidConfiguration
    from evenhand.events import EpochMeasured
    from evenhand.topics import MEASUREMENTS

    found: dict[int, dict[int, EpochMeasured]] = {}
    async with open_log() as (_, reader):
        places = await reader.places(MEASUREMENTS)
        ends = await reader.ends(places)
        async for record in reader.read(await reader.beginnings(places), ends):
            event = msgspec.json.decode(record.value or b"", type=EpochMeasured)
            if event.model == model and event.inputs and event.epoch_s == monitoring.epoch_s:
                found.setdefault(event.last_epoch, {}).setdefault(event.partition, event)
    if not found:
        raise InvalidConfiguration(
            f"the log holds no measured inputs of {model} in epochs of {monitoring.epoch_s} s: let the loop run, or "
            "give your history with --data FILE"
        )
    seen: set[str] = set()
    epochs = []
    for epoch, parts in sorted(found.items()):
        rows = merged([parts[each].inputs for each in sorted(parts)], monitoring.rows)
        fresh = [row for row in rows if not monitoring.cluster_s or row.hash not in seen]
        seen.update(row.hash for row in fresh)
        epochs.append((epoch, fresh))
    return epochs
