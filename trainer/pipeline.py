"""A training run: audit, walk, contest, register. Forecasts of finished folds are kept, so a killed run goes on."""

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from evenhand.training.contest import Place, as_markdown, contest
from evenhand.training.examples import Examples, FloatArray
from evenhand.training.leakage import AuditSettings, audit_labels, require_clean
from evenhand.training.scores import ScoreSettings, Verdict
from evenhand.training.versioning import Release, derive
from evenhand.training.walk_forward import Fold, Walk, WalkForward, forecast_fold, join
from models.audit import audit_candle_features
from models.base import Model, model_kind
from models.candle_files import read_candles
from models.candles import Candles
from models.card import code_digest
from models.config import Endpoint, ModelsConfig
from models.features import make_feature
from models.learners import examples_of, learner
from models.store import ModelStore
from models.training import describe, make_table
from trainer.settings import BASELINES, ENSEMBLE, PARAMETERS, TrainingSettings

Tell = Callable[[str], None]


class Trained(msgspec.Struct, frozen=True):
    """One model: means over all steps, the verdict over all of them, and the version that was registered."""

    rmse: float
    mae: float
    mase: float
    direction_accuracy: float
    coverage_90: float | None
    calibration_error: float | None
    verdict: Verdict
    version: str | None


class TrainingReport(msgspec.Struct, frozen=True):
    """What came of a run. `skilled_steps` are those at which a model beat every baseline."""

    data: str
    rows: int
    folds: int
    horizon: int
    models: dict[str, Trained]
    skilled_steps: dict[str, list[int]]
    table: str


def train(
    settings: TrainingSettings, declared: ModelsConfig | None, store: ModelStore | None, kept: Path, tell: Tell
) -> TrainingReport:
    """Run it. `kept` is where forecasts of finished folds lie; `store` gets the versions, `tell` the progress."""
    kinds = settings.kinds()
    candles = read_candles(settings.data)
    endpoint = settings.endpoint(candles, declared)
    features = [make_feature(each) for each in endpoint.features]
    tell("auditing the features for leaks")
    require_clean(audit_candle_features(features, candles, settings.seed))
    examples = examples_of(candles, endpoint)
    names = tuple(feature.name for feature in features)
    require_clean(audit_labels(names, examples.rows, examples.targets, AuditSettings()))
    plan = _plan(examples, settings.folds)
    walks = {
        name: _walk(examples, plan, endpoint, kind, settings, candles, kept, tell)
        for name, kind in {**{one: one for one in BASELINES}, **kinds}.items()
    }
    tell("comparing")
    steps = range(1, settings.horizon + 1)
    trials = ScoreSettings(trials=len(walks) * settings.horizon)
    places = contest(examples, walks, BASELINES, steps, trials)
    versions = {} if store is None else _register(settings, kinds, candles, endpoint, store, tell)
    asked = list(dict.fromkeys((*settings.models, *BASELINES, "naive", ENSEMBLE)))
    by_model = {name: [place for place in places if place.model == name] for name in asked}
    return TrainingReport(
        data=settings.data.name,
        rows=len(examples),
        folds=settings.folds,
        horizon=settings.horizon,
        models={name: _summary(found, versions.get(name)) for name, found in by_model.items()},
        skilled_steps={
            name: [place.scores.step for place in found if place.scores.verdict == "skill"]
            for name, found in by_model.items()
        },
        table=as_markdown(places),
    )


def _plan(examples: Examples, folds: int) -> WalkForward:
    """Blocks of equal length over the last half of the time."""
    first, last = int(examples.made_at.min()), int(examples.made_at.max())
    start = (first + last) // 2
    return WalkForward(start_ms=start, test_ms=(last - start) // folds + 1)


def _walk(
    examples: Examples, plan: WalkForward, endpoint: Endpoint, kind: str, settings: TrainingSettings, candles: Candles,
    kept: Path, tell: Tell,
) -> Walk:  # fmt: skip
    parameters = PARAMETERS.get(kind, {})
    what = [candles.digest(), code_digest(), endpoint.features, kind, parameters, settings.horizon, settings.seed]
    digest = hashlib.sha256(json.dumps([*what, msgspec.to_builtins(plan)]).encode()).hexdigest()[:24]
    parts: list[tuple[Fold, FloatArray]] = []
    for fold in plan.folds(examples):
        file = kept / f"{kind}-{digest}-{fold.number}.npy"
        if file.exists():
            values = np.load(file, allow_pickle=False)
        else:
            tell(f"{kind}: fold {fold.number + 1} of {settings.folds}, {len(fold.train)} rows")
            values = forecast_fold(examples, fold, learner(kind, endpoint.signature(), parameters), settings.seed)
            _keep(file, values)
        parts.append((fold, values))
    return join(parts, examples)


def _keep(file: Path, values: FloatArray) -> None:
    """Write whole or not at all."""
    file.parent.mkdir(parents=True, exist_ok=True)
    temporary = file.with_suffix(f".{os.getpid()}")
    with temporary.open("wb") as stream:
        np.save(stream, values, allow_pickle=False)
    temporary.replace(file)


def _register(
    settings: TrainingSettings, kinds: Mapping[str, str], candles: Candles, endpoint: Endpoint, store: ModelStore,
    tell: Tell,
) -> dict[str, str]:  # fmt: skip
    """Fit each model on everything and save it under the version that follows from the last one."""
    name, table, versions = settings.data.stem, make_table(candles, endpoint), {}
    for asked, kind in kinds.items():
        tell(f"{kind}: learning from all {len(table.rows)} rows")
        model = model_kind(kind)(endpoint.signature(), PARAMETERS.get(kind)).fit(
            table.rows, table.targets, settings.seed
        )
        released = [one for one in store.versions(name) if "-" not in one]
        last = released[-1] if released else None
        before = _release(store.load(name, last), store.describe(name, last).code_digest) if last else None
        version = derive(last, before, _release(model, code_digest())).version
        description = describe(
            f"{kind}, trained on {settings.data.name}", settings.data.name, candles, table, settings.seed
        )
        store.save(name, version, model, description)
        versions[asked] = version
    return versions


def _release(model: Model, code: str) -> Release:
    signature: dict[str, Any] = msgspec.to_builtins(model.signature)
    signature["features"] = model.signature.features
    return Release(**signature, kind=model.kind, parameters=msgspec.to_builtins(model.parameters), code=code)


def _summary(places: Iterable[Place], version: str | None) -> Trained:
    scores = [place.scores for place in places]
    return Trained(
        rmse=_mean(one.rmse for one in scores) or 0.0,
        mae=_mean(one.mae for one in scores) or 0.0,
        mase=_mean(one.mase for one in scores) or 0.0,
        direction_accuracy=_mean(one.direction_accuracy.mean for one in scores) or 0.0,
        coverage_90=_mean(one.coverage_90 for one in scores),
        calibration_error=_mean(one.calibration_error for one in scores),
        verdict="skill" if any(one.verdict == "skill" for one in scores) else "no skill",
        version=version,
    )


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None
