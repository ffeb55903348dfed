"""Models as what a walk-forward takes: learned anew in each fold, on nothing but the fold's own rows."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from evenhand.training.examples import Examples, FloatArray, Forecaster, Learner
from models.base import model_kind
from models.candles import Candles
from models.config import Endpoint
from models.signature import Signature
from models.training import make_table


def learner(kind: str, signature: Signature, parameters: Mapping[str, Any] | None = None) -> Learner:
    """Return what fits a fresh model of that kind and forecasts by it."""

    def learn(rows: FloatArray, targets: FloatArray, seed: int) -> Forecaster:
        model = model_kind(kind)(signature, parameters).learn_only(rows, targets, seed)
        return lambda tested: model.forecast(np.ascontiguousarray(tested), signature.max_horizon)

    return learn


def examples_of(candles: Candles, endpoint: Endpoint) -> Examples:
    """Rows and targets of a history: a row is known when its candle closes, its target of step k, k candles later.

    Rows without any known target are left out.
    """
    table = make_table(candles, endpoint)
    known = np.isfinite(table.targets).any(axis=1)
    made_at = table.open_time[known] + candles.interval_ms
    steps = np.arange(1, endpoint.max_horizon + 1, dtype=np.int64) * candles.interval_ms
    return Examples(made_at, made_at[:, None] + steps, table.rows[known], table.targets[known])
