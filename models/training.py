"""Trains the versions that a configuration declares, from candles, in seconds; sees nothing after `train_until`."""

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from evenhand.errors import EvenhandError, InvalidConfiguration
from evenhand.training.versioning import Derived
from models.base import FloatArray, Model, model_kind
from models.beside import with_series
from models.candle_files import read_candles
from models.candles import Candles
from models.card import Description, Lineage, Source
from models.config import Endpoint
from models.features.engine import FeatureEngine
from models.store import ModelStore

LOG_RETURN = "log_return"


class Table(NamedTuple):
    """What a model learns from: a row for each candle, known at its close, and the target of each step from there."""

    open_time: npt.NDArray[np.int64]
    rows: FloatArray
    targets: FloatArray


def step_returns(candles: Candles, steps: int) -> FloatArray:
    """Return the targets (candles, steps): column k is ln(close k + 1 candles later / close k candles later).

    NaN where one of the two lies beyond the end or a candle is missing between.
    """
    logs = np.log(candles.close)
    returns = np.full(len(candles), np.nan)
    returns[:-1] = np.where(np.diff(candles.open_time) == candles.interval_ms, np.diff(logs), np.nan)
    targets = np.full((len(candles), steps), np.nan)
    for step in range(min(steps, len(candles))):
        targets[: len(candles) - step, step] = returns[step:]
        if step:  # beyond a gap the step would stand for another hour
            targets[:, step][np.isnan(targets[:, step - 1])] = np.nan
    return targets


def make_table(candles: Candles, endpoint: Endpoint) -> Table:
    """Compute features and targets of a history, without the rows that still warm up."""
    if endpoint.target != LOG_RETURN:
        raise InvalidConfiguration(f"target {endpoint.target!r} cannot be computed from candles; {LOG_RETURN!r} can")
    if candles.interval_ms != endpoint.horizon_s * 1000:
        raise EvenhandError(
            f"the candles are {candles.interval_ms // 1000} s long, the model's step is {endpoint.horizon_s} s: "
            "give candles of that length, or change horizon_s"
        )
    rows = FeatureEngine.declared(endpoint.features, candles.interval_ms).batch(candles)
    warm = np.isfinite(rows).all(axis=1)
    return Table(candles.open_time[warm], rows[warm], step_returns(candles, endpoint.max_horizon)[warm])


def train_default(data: Path, store: ModelStore, name: str, endpoint: Endpoint) -> dict[str, Model]:
    """Train and save the declared versions that the store lacks; return all declared ones by version."""
    if set(store.versions(name)) >= {first.version for first in endpoint.versions}:
        return {first.version: store.load(name, first.version) for first in endpoint.versions}
    candles = with_series(read_candles(data), data.parent, endpoint.features)
    return train_on(candles, data.name, store, name, endpoint)


def train_on(candles: Candles, source: str, store: ModelStore, name: str, endpoint: Endpoint) -> dict[str, Model]:
    """Do what `train_default` does, with candles at hand; `source` is what the versions' cards call them."""
    candles = seen_candles(candles, endpoint)
    table = make_table(candles, endpoint)
    held = store.versions(name)
    for first in endpoint.versions:
        if first.version not in held:
            model = model_kind(first.kind)(endpoint.signature(), first.parameters)
            model.fit(table.rows, table.targets, endpoint.seed)
            made = origin(endpoint, table, model)
            summary = first.summary or f"{first.kind}, first version"
            store.save(
                name, first.version, model, describe(summary, source, candles, table, endpoint.seed, made), table.rows
            )
    return {first.version: store.load(name, first.version) for first in endpoint.versions}


def seen_candles(candles: Candles, endpoint: Endpoint) -> Candles:
    """Return the candles that had closed by `train_until`: all that the first versions may see."""
    if endpoint.train_until is None:
        return candles
    seen = candles.closed_by(int(endpoint.train_until.timestamp() * 1000))
    if not len(seen):
        raise EvenhandError(f"no candle had closed by train_until, {endpoint.train_until}: set it later")
    return seen


def describe(
    summary: str, source: str, candles: Candles, table: Table, seed: int,
    lineage: Lineage | msgspec.UnsetType = msgspec.UNSET,
) -> Description:  # fmt: skip
    """Say where a version comes from."""
    return Description(
        summary=summary,
        data=source,
        data_digest=candles.digest(),
        rows=len(table.rows),
        trained_from=int(candles.open_time[0]),
        trained_to=int(candles.open_time[-1]) + candles.interval_ms,
        seed=seed,
        lineage=lineage,
    )


def origin(
    endpoint: Endpoint, table: Table, model: Model, *, derived: Derived | None = None, follows: str = "",
    sources: Iterable[Source] = (),
) -> Lineage:  # fmt: skip
    """Return what it takes to learn a fitted model again. Its example is the last row."""
    row = np.ascontiguousarray(table.rows[-1:])
    return Lineage(
        features=endpoint.features,
        sources=tuple(sorted(sources)),
        follows=follows,
        change=derived.change if derived else "",
        reasons=derived.reasons if derived else (),
        example=tuple(row[0].tolist()),
        answer=tuple(model.forecast(row, endpoint.max_horizon)[0].tolist()),
    )
