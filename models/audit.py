"""Audits features of candles, whoever wrote them: none may know what comes later."""

from collections.abc import Sequence

import numpy as np

from evenhand.errors import EvenhandError
from evenhand.training.leakage import AuditSettings, Computed, Leak, Pipeline, Source, audit_features
from models.candles import PRICES, Candles
from models.features.base import AnyFeature
from models.features.engine import FeatureEngine

COLUMNS = (*PRICES, "volume")
_ROWS = 600  # enough for days and weeks of hourly candles, and quick


def audit_candle_features(
    features: Sequence[AnyFeature], candles: Candles, seed: int, settings: AuditSettings | None = None
) -> list[Leak]:
    """Return the features that leak, by name: those whose `batch` changes when later candles are cut off or others.

    A candle is known when it has closed. Also named is a feature whose `batch` and `step` say different things, for
    `step` cannot look ahead. The last candles are tried, as many as the longest warm-up needs and 600 more.
    """
    engine = FeatureEngine(features, candles.interval_ms)
    tried = candles.slice(max(0, len(candles) - engine.warm_up - _ROWS), len(candles))
    if len(tried) < engine.warm_up + 100:
        raise EvenhandError(f"{len(tried)} candles are too few to audit features that warm up for {engine.warm_up}")
    pipeline = Pipeline(engine.names, lambda source: _compute(source, engine))
    # All columns of a candle are scaled alike, so that another future is one of possible candles.
    leaks = audit_features(pipeline, _source(tried), np.random.default_rng(seed), settings or AuditSettings())
    named = {leak.where for leak in leaks}
    return leaks + [leak for leak in _disagreements(engine, tried) if leak.where not in named]


def _source(candles: Candles) -> Source:
    columns = {name: getattr(candles, name) for name in COLUMNS}
    for series, other in candles.others.items():
        columns |= {f"{series}/{name}": getattr(other, name) for name in COLUMNS}
    return Source(candles.open_time + candles.interval_ms, columns)


def _candles(source: Source, engine: FeatureEngine, series: str = "") -> Candles:
    opened, high, low, close, volume = (source.columns[f"{series}{name}"] for name in COLUMNS)
    others = {} if series else {name: _candles(source, engine, f"{name}/") for name in engine.reads}
    return Candles(source.known_at - engine.interval_ms, opened, high, low, close, volume, engine.interval_ms, others)


def _compute(source: Source, engine: FeatureEngine) -> Computed:
    return Computed(source.known_at, engine.batch(_candles(source, engine)))


def _disagreements(engine: FeatureEngine, candles: Candles) -> list[Leak]:
    fresh = FeatureEngine(engine.features, engine.interval_ms)
    stepped, batch = np.array([fresh.step(candle) for candle in candles]), engine.batch(candles)
    same = np.isclose(stepped, batch, rtol=1e-9, atol=1e-9, equal_nan=True).all(axis=0)
    return [
        Leak("truncation", name, "candle by candle it is another than for a whole history")
        for name, agrees in zip(engine.names, same.tolist(), strict=True)
        if not agrees
    ]
