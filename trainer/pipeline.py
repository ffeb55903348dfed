"""A training run: audit, walk, contest, register. Forecasts of finished folds are kept, so a killed run goes on."""

from collections.abc import Mapping
from pathlib import Path

from adapters.kafka.settings import KafkaSettings
from evenhand.training.contest import contest
from evenhand.training.examples import Examples, FloatArray
from evenhand.training.leakage import AuditSettings, require_clean
from evenhand.training.learner_audit import audit_learners
from evenhand.training.scores import ScoreSettings
from evenhand.training.walk_forward import WalkForward
from models.config import ModelsConfig
from models.signature import Signature
from models.store import ModelStore, require_name
from trainer.preparation import prepare
from trainer.progress import Progress
from trainer.registering import Registered, measured, register
from trainer.report import TrainingReport, contest_table, summary, worst_coverage
from trainer.settings import BASELINES, ENSEMBLE, TrainingSettings
from trainer.tuning import tuned_learner
from trainer.walking import Plan, Walker, walk_all

_LEAST_VOLATILITY = 1e-2  # of the mean


def train(
    settings: TrainingSettings,
    declared: ModelsConfig | None,
    store: ModelStore | None,
    kept: Path,
    progress: Progress,
    kafka: KafkaSettings | None = None,
) -> TrainingReport:
    """Run it. `kept` is where forecasts of finished folds lie; `store` gets the versions; `kafka` has the topic."""
    kinds = settings.kinds()
    if store is not None:  # hours before anything is saved
        require_name(settings.name)
    found = prepare(settings, declared, progress, kafka)
    examples, names = found.examples, found.signature.features
    walkers = {
        name: Walker(kind, settings.parameters(kind, names), settings.tune)
        for name, kind in {**{one: one for one in BASELINES}, **kinds}.items()
    }
    progress.tell("auditing the models for leaks")
    learners = {name: tuned_learner(one.kind, found.signature, one.parameters, 1) for name, one in walkers.items()}
    require_clean(audit_learners(learners, examples.rows, examples.targets, settings.seed, AuditSettings()))
    plan = Plan(
        examples,
        walk_plan(examples, settings.folds, settings.window_days, settings.embargo_hours),
        found.signature,
        settings.seed,
        found.digest,
    )
    walks = walk_all(plan, walkers, kept, progress, settings.workers)
    progress.tell("comparing")
    trials = len(walks) * settings.tune * settings.horizon
    steps = range(1, settings.horizon + 1)
    judged = contest(
        examples, walks, BASELINES, steps, ScoreSettings(trials=trials), _volatility(found.signature, examples.rows)
    )  # fmt: skip
    shown = list(dict.fromkeys((*settings.models, *BASELINES, "naive", ENSEMBLE)))
    by_model = {name: [place for place in judged.places if place.model == name] for name in shown}
    registered: dict[str, Registered] = {}
    if store is not None:
        asked = {name: walkers[name] for name in kinds} | _ensemble(settings, walkers)
        metrics = {name: measured(places) for name, places in by_model.items()}
        registered = register(store, settings.name, settings.source, asked, found, settings.seed, progress, metrics)
    return TrainingReport(
        data=settings.source,
        rows=len(examples),
        folds=settings.folds,
        horizon=settings.horizon,
        trials=trials,
        models={
            name: summary(places, registered[name].version if name in registered else None)
            for name, places in by_model.items()
        },
        skilled_steps={
            name: [place.scores.step for place in places if place.scores.verdict == "skill"]
            for name, places in by_model.items()
        },
        coverage={name: worst_coverage(places) for name, places in by_model.items()},
        regrets=judged.regrets,
        curves={name: one.model.curve for name, one in registered.items() if one.model.curve},
        parameters={name: one.model.plain_parameters() for name, one in registered.items()},
        scores={name: [place.scores for place in places] for name, places in by_model.items()},
        table=contest_table(judged),
    )


def walk_plan(
    examples: Examples, folds: int, window_days: float | None = None, embargo_hours: float = 0.0
) -> WalkForward:
    """Blocks of equal length over the last half of the time; each looks back to the beginning, or so many days."""
    first, last = int(examples.made_at.min()), int(examples.made_at.max())
    start = (first + last) // 2
    return WalkForward(
        start_ms=start, test_ms=(last - start) // folds + 1, embargo_ms=round(embargo_hours * 3_600_000),
        train_ms=None if window_days is None else round(window_days * 86_400_000),
    )  # fmt: skip


def _volatility(signature: Signature, rows: FloatArray) -> FloatArray | None:
    """What the rows tell of it, as served models read it."""
    column = signature.volatility_column
    if column is None:
        return None
    known = rows[:, column]
    least: float = _LEAST_VOLATILITY * float(abs(known[: len(known) // 2]).mean())
    raised: FloatArray = known.clip(min=least)
    return raised


def _ensemble(settings: TrainingSettings, walkers: Mapping[str, Walker]) -> dict[str, Walker]:
    """The ensemble as a model that is served: of all that walked."""
    if ENSEMBLE not in settings.models:
        return {}
    every = {one.kind: {"kind": one.kind, "parameters": dict(one.parameters)} for one in walkers.values()}
    return {ENSEMBLE: Walker(ENSEMBLE, {"experts": list(every.values())})}
