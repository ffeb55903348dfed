"""Tracking by the names of the document: `create_experiment_manager`, `start_run`, `log_metrics_batch`, ...

Calls return at once, whatever MLflow does; what it has not got yet is sent by a later run or `evenhand models sync`.
"""

import contextlib
import os
import platform
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, SupportsFloat, SupportsInt

import msgspec

from evenhand.client.checkout import root
from evenhand.errors import InvalidConfiguration

if TYPE_CHECKING:
    from adapters.mlflow.settings import TrackingSettings
    from adapters.mlflow.tracking import Run, Tracking

__all__ = ["ExperimentManager", "create_experiment_manager"]


def create_experiment_manager(
    experiment_name: str | None = None,
    model_type: str = "",
    version: str | None = None,
    description: str = "",
    *,
    tracking_uri: str | None = None,
    artifact_location: str | None = None,
    auto_log: bool | None = None,
    log_frequency: int | None = None,
) -> "ExperimentManager":
    """Make a manager; what is left out is as `config/mlflow.yaml` says.

    A `version` must follow from the last one that was logged; without one it is derived. Raises InvalidConfiguration.
    """
    checkout = root()
    from adapters.configuration import config_folder
    from adapters.mlflow.settings import read_tracking
    from evenhand.cli.loop import home_folder
    from evenhand.training.versioning import parse

    if version is not None:
        parse(version)
    given = {
        "experiment_name": experiment_name, "tracking_uri": tracking_uri, "artifact_location": artifact_location,
        "auto_log": auto_log, "log_frequency": log_frequency,
    }  # fmt: skip
    changed = {name: value for name, value in given.items() if value is not None}
    read = msgspec.to_builtins(read_tracking(config_folder(checkout)))
    from adapters.mlflow.settings import TrackingSettings

    settings = msgspec.convert({**read, **changed}, TrackingSettings).at(
        home_folder(), {} if tracking_uri else os.environ
    )
    return ExperimentManager(settings, model_type, version, description)


class ExperimentManager:
    """Logs into the run that was started last; a run within a run is its child."""

    def __init__(self, settings: "TrackingSettings", model_type: str, version: str | None, description: str) -> None:
        self.settings, self.model_type, self.version, self.description = settings, model_type, version, description
        self._tracking: Tracking | None = None
        self._runs: list[Run] = []
        self._params: dict[str, str] = {}

    @contextlib.contextmanager
    def start_run(self, run_name: str, tags: Mapping[str, object] | None = None) -> "Iterator[ExperimentManager]":
        """Begin a run, which ends with the block: finished, failed or killed."""
        from evenhand.cli.tracking import tracking

        with contextlib.ExitStack() as stack:
            if self._tracking is None:
                opened = stack.enter_context(tracking(self.settings))
                if opened is None:
                    raise InvalidConfiguration("MLflow is not installed: pip install 'evenhand[tracking]'")
                self._tracking = opened
                stack.callback(setattr, self, "_tracking", None)
            described = {"model_type": self.model_type, "mlflow.note.content": self.description}
            labels = {**{name: value for name, value in described.items() if value}, **(tags or {})}
            parent = self._runs[-1].id if self._runs else ""
            run = stack.enter_context(self._tracking.start_run(run_name, parent=parent, tags=labels))
            self._runs.append(run)
            stack.callback(self._runs.pop)
            if self.settings.auto_log:
                self._log_environment(run)
            yield self

    @property
    def run(self) -> "Run":
        """The run that is open."""
        if not self._runs:
            raise InvalidConfiguration("no run is open: write `with manager.start_run(NAME):` around what is logged")
        return self._runs[-1]

    def log_params_batch(self, params: Mapping[str, Any]) -> None:
        """Note parameters; nested ones get names with dots."""
        flat = dict(_flat(params))
        self._params |= {name: str(value) for name, value in flat.items()}
        self.run.params(flat)

    def log_metrics_batch(self, metrics: Mapping[str, SupportsFloat], step: SupportsInt = 0) -> None:
        """Note metrics of a step: on disk at once, sent together, and once, whatever happens."""
        self.run.metrics(metrics, step)

    def log_training_curves(self, history: Mapping[str, Sequence[float]], title: str = "Training Progress") -> None:
        """Keep an interactive plot of metrics by epoch."""
        from adapters.mlflow.plots import curves

        self.run.artifact(f"plots/{_file(title)}.html", curves(history, title))

    def log_feature_importance(
        self, feature_names: Sequence[str], importance_scores: Sequence[float], title: str = "Feature Importance"
    ) -> None:
        """Keep an interactive plot and a table of importances."""
        from adapters.mlflow.plots import bars

        if len(feature_names) != len(importance_scores):
            raise InvalidConfiguration(f"{len(feature_names)} features have {len(importance_scores)} importances")
        table = {name: float(score) for name, score in zip(feature_names, importance_scores, strict=True)}
        self.run.artifact(f"plots/{_file(title)}.html", bars(list(table), list(table.values()), title))
        self.run.artifact(f"{_file(title)}.json", msgspec.json.encode(table))

    def log_model_artifacts(self, model: Any, model_name: str, signature: Any = None) -> str:
        """Keep a model in a format that runs no code when it is loaded, and register it; returns its version.

        Raises InvalidConfiguration for a kind of model without such a format, and for a version that does not follow.
        """
        from adapters.mlflow.formats import model_files
        from adapters.mlflow.releases import register

        files = model_files(model, signature)
        for path, content in files.items():
            self.run.artifact(f"{model_name}/{path}", content)
        name = f"{self.settings.experiment_name}-{model_name}"
        return register(
            self._opened, self.run, name, model_name, model, signature, given=self.version, parameters=self._params
        )  # fmt: skip

    @property
    def _opened(self) -> "Tracking":
        if self._tracking is None:
            raise InvalidConfiguration("no run is open: write `with manager.start_run(NAME):` around what is logged")
        return self._tracking

    def _log_environment(self, run: "Run") -> None:
        from models.card import code_digest, libraries

        told = {f"environment.{name}": number for name, number in libraries().items()}
        run.params({**told, "environment.platform": platform.platform(), "environment.code": code_digest()[:16]})


def _flat(values: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{before}{name}.")
        else:
            yield f"{before}{name}", value


def _file(title: str) -> str:
    return "_".join("".join(c if c.isalnum() else " " for c in title.lower()).split()) or "plot"
