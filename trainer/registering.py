"""Fits models on the whole history and saves each under the version that follows from the last one."""

from collections.abc import Mapping
from functools import partial
from typing import Any, NamedTuple

import msgspec
import numpy as np

from evenhand.training.versioning import Release, derive
from models.base import Model, model_kind
from models.card import code_digest
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
) -> dict[str, Registered]:
    """Return what was saved by the name that was asked for. An ensemble takes the parameters of those before it."""
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
        last, before = _last(store, name)
        derived = derive(last, before, _release(model, code_digest()))
        made = origin(learned.endpoint, table, model, derived=derived, follows=last or "", sources=learned.sources)
        about = learned.describe(f"{walker.kind}, trained on {source}", source, seed, made)
        store.save(name, derived.version, model, about, table.rows)
        progress.learned(asked, derived.version, model, table)
        found[asked] = Registered(derived.version, model)
    return found


def _last(store: ModelStore, name: str) -> tuple[str | None, Release | None]:
    released = [one for one in store.versions(name) if "-" not in one]
    if not released:
        return None, None
    return released[-1], _release(store.load(name, released[-1]), store.describe(name, released[-1]).code_digest)


def _release(model: Model, code: str) -> Release:
    signature: dict[str, Any] = msgspec.to_builtins(model.signature)
    signature["features"] = model.signature.features
    return Release(**signature, kind=model.kind, parameters=msgspec.to_builtins(model.parameters), code=code)
