"""A training run as MLflow shows it: a run within which every model has one, each with what it was, did and became."""

from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Self

import msgspec

from adapters.mlflow.flavor import files_of
from adapters.mlflow.plots import bars, curves
from adapters.mlflow.tracking import Run
from models.importance import permutation_importance
from models.lineage import changelog_of
from models.store import ModelStore
from trainer.progress import Progress
from trainer.report import TrainingReport
from trainer.settings import TrainingSettings

if TYPE_CHECKING:
    from models.base import Model
    from models.training import Table

LEARNED, HELD_OUT = "train_loss", "val_loss"


class Tracked(Progress):
    """Tells somebody else, and `run`: errors and learning curves as they come, versions as they are saved."""

    def __init__(self, told: Progress, run: Run, settings: TrainingSettings, store: ModelStore) -> None:
        self._told, self._run, self._settings, self._store = told, run, settings, store
        self._children: dict[str, Run] = {}

    def tell(self, text: str) -> None:
        """Pass it on."""
        self._told.tell(text)

    def fold(self, model: str, done: int, total: int) -> None:
        """Pass it on, and count."""
        self._told.fold(model, done, total)
        self._run.metrics({"folds_done": done}, step=done)

    def scored(self, model: str, fold: int, errors: Mapping[str, float]) -> None:
        """Note the errors of a fold, with the fold as step."""
        self._told.scored(model, fold, errors)
        self._of(model).metrics(errors, step=fold)

    def learning(self, model: str, number: int, learned: float, held_out: float) -> None:
        """Note a round, with its number as step."""
        self._told.learning(model, number, learned, held_out)
        self._of(model).metrics({LEARNED: learned, HELD_OUT: held_out}, step=number)

    def learned(self, model: str, version: str, fitted: "Model", table: "Table") -> None:
        """Note plots, importance and files of a version, and register it."""
        self._told.learned(model, version, fitted, table)
        run, name = self._of(model), self._settings.name
        if fitted.curve:
            lines = {LEARNED: [one for one, _ in fitted.curve], HELD_OUT: [one for _, one in fitted.curve]}
            run.artifact("plots/training_curves.html", curves(lines, f"{name} {version}: {model}"))
        leans = permutation_importance(fitted, table.rows, table.targets, self._settings.seed)
        run.artifact("plots/feature_importance.html", bars(list(leans), list(leans.values()), f"{name} {version}"))
        run.params({f"parameter.{key}": value for key, value in fitted.plain_parameters().items()})
        log_version(run, self._store, name, version)

    def report(self, report: TrainingReport) -> None:
        """Note what came of it, and end the runs of all models."""
        self._run.artifact("report.md", report.text().encode())
        self._run.artifact("report.json", msgspec.json.format(msgspec.json.encode(report), indent=1))
        self._run.params({"rows": report.rows, "folds": report.folds, "horizon": report.horizon, "data": report.data})
        self._run.tags({"verdict": report.verdict})
        for name, trained in report.models.items():
            run = self._of(name)
            numbers = {
                key: value for key, value in msgspec.to_builtins(trained).items() if isinstance(value, float)
            }  # fmt: skip
            run.metrics(numbers)
            run.tags({"verdict": trained.verdict, "version": trained.version or "none"})

    def __enter__(self) -> Self:
        """Itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """End the runs of all models that have one."""
        for run in self._children.values():
            run.__exit__(kind, error, traceback)

    def _of(self, model: str) -> Run:
        if model not in self._children:
            self._children[model] = self._run.child(model, tags={"model": self._settings.name, "kind": model})
        return self._children[model]


def log_version(run: Run, store: ModelStore, name: str, version: str) -> None:
    """Register a version of the store with MLflow: its files, loadable by MLflow's clients, and where it comes from."""
    card, files = store.describe(name, version), store.files(name, version)
    origin = card.description.origin
    for path, content in files_of(card, files).items():
        run.artifact(f"model/{path}", content)
    text = changelog_of(store, name, version)
    run.artifact("CHANGELOG.md", text.encode())
    run.params({"seed": card.description.seed, "data_digest": card.description.data_digest})
    tags = {
        "kind": card.kind, "change": origin.change, "follows": origin.follows, "digest": card.digest,
        "data": card.description.data, "data_digest": card.description.data_digest,
        "sources": ", ".join(f"{one.topic}:{one.partition}:{one.first}-{one.last}" for one in origin.sources),
        "code_digest": card.code_digest, "seed": str(card.description.seed),
        **{f"library.{library}": number for library, number in card.libraries.items()},
    }  # fmt: skip
    run.version(name, version, "model", description=text, tags={key: value for key, value in tags.items() if value})
