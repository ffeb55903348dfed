"""Fits models on the whole history and saves each under the version that follows from the last one."""

import math
from collections.abc import Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import Any, NamedTuple

import msgspec
import numpy as np

from evenhand.training.contest import Place
from evenhand.training.versioning import Measured, Release, derive
from models.base import Model, model_kind
from models.card import Lineage, code_digest
from models.lineage import release, released
from models.nets import Net
from models.store import ModelStore
from models.training import origin
from trainer.preparation import Prepared
from trainer.progress import Progress
from trainer.tuning import tune
from trainer.walking import Walker


class Registered(NamedTuple):
    """A version that was saved, and the model in it."""

    version: str
    model: Model


def register(
    store: ModelStore,
    name: str,
    source: str,
    walkers: Mapping[str, Walker],
    learned: Prepared,
    seed: int,
    progress: Progress,
    metrics: Mapping[str, Mapping[str, Measured]] = MappingProxyType({}),
) -> dict[str, Registered]:
    """Return what was saved by the name that was asked for. An ensemble takes the parameters of those before it.

    `metrics` by that name are what the walk has measured; they stand in the version's card, and in its changelog.
    """
    table, signature = learned.table, learned.signature
    found: dict[str, Registered] = {}
    chosen: dict[str, dict[str, Any]] = {}
    for asked, walker in walkers.items():
        progress.tell(f"{asked}: learning from all {len(table.rows)} rows")
        parameters = dict(walker.parameters)
        if walker.kind == "ensemble":
            for expert in parameters["experts"]:
                expert["parameters"] = chosen.get(expert["kind"], expert["parameters"])
        else:
            known = np.isfinite(table.targets).any(axis=1)
            told = (table.rows[known], table.targets[known])
            parameters = tune(walker.kind, signature, parameters, told, seed, walker.trials)
            chosen[walker.kind] = parameters
        model = model_kind(walker.kind)(signature, parameters).fit(
            table.rows, table.targets, seed, partial(progress.learning, asked)
        )
        if isinstance(model, Net) and model.parameters.onnx and not model.by_onnx:
            progress.tell(f"{asked}: ONNX Runtime would answer otherwise than numpy, which therefore answers")
        about = learned.describe(
            f"{walker.kind}, trained on {source}", source, seed, Lineage(metrics=dict(metrics.get(asked, {})))
        )
        last, before = _last(store, name)
        derived = derive(last, before, release(model, about, code_digest()))
        made = origin(learned.endpoint, table, model, derived=derived, follows=last or "", sources=learned.sources)
        made = msgspec.structs.replace(made, metrics=about.origin.metrics)
        store.save(name, derived.version, model, msgspec.structs.replace(about, lineage=made), table.rows)
        progress.learned(asked, derived.version, model, table)
        found[asked] = Registered(derived.version, model)
    return found


def _last(store: ModelStore, name: str) -> tuple[str | None, Release | None]:
    held = [one for one in store.versions(name) if "-" not in one]
    return (held[-1], released(store, name, held[-1])) if held else (None, None)


def measured(places: Sequence[Place]) -> dict[str, Measured]:
    """Errors and hits at the first and the last step, with the intervals of the walk, as far as it was long enough."""
    found: dict[str, Measured] = {}
    for scores in (place.scores for place in (places[0], places[-1])):
        square, hits = scores.squared_error, scores.direction_accuracy
        if math.isfinite(square.low):
            bounds = (math.sqrt(max(0.0, each)) for each in (square.mean, square.low, square.high))
            found[f"RMSE, step {scores.step}"] = Measured(*bounds)
        if hits.batches and math.isfinite(hits.low):
            found[f"direction accuracy, step {scores.step}"] = Measured(hits.mean, hits.low, hits.high)
    return found
