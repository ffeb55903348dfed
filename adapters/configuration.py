"""The folder `config`: what each model is to be served with, as far as the files say."""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

import msgspec

from evenhand.alerts.configured import Alerts, read_alerts
from evenhand.drift.configured import Watches, read_watches
from evenhand.errors import InvalidConfiguration
from evenhand.events import Served
from evenhand.experiments.configured import Experiments, read_experiments
from evenhand.monitoring import HostRules, Monitoring
from evenhand.slo.configured import Objectives, read_objectives
from models.config import ModelsConfig, read_models_config

MODELS, EXPERIMENTS, SLO, ALERTS = "models.yaml", "experiments.yaml", "slo.yaml", "alerts.yaml"
DRIFT, HOST = "drift.yaml", "_host"
VARIABLE = "EVENHAND_CONFIG"


class Configuration:
    """The files, checked one against the other."""

    def __init__(
        self,
        folder: Path,
        models: ModelsConfig,
        experiments: Experiments,
        objectives: Objectives,
        alerts: Alerts,
        watches: Watches,
    ) -> None:
        self.folder, self.models, self.experiments = folder, models, experiments
        self.objectives, self.alerts, self.watches = objectives, alerts, watches

    def served(self, model: str) -> Served:
        """What a model is to be served with."""
        endpoint = self.models.endpoint(model)
        return Served(
            champion=endpoint.champion, wait_s=endpoint.wait_s, experiment=self.experiments.of(model),
            monitoring=self.monitoring(model),
        )  # fmt: skip

    def monitoring(self, model: str) -> Monitoring:
        """How a model is to be watched."""
        declared = self.watches.models.get(model)
        base = Monitoring()
        if declared is not None:
            endpoint = self.models.endpoint(model)
            base = declared.monitoring(endpoint.signature().features, endpoint.horizon_s if endpoint.aligned else 0)
        return watched(base, self.objectives, self.alerts, model)

    def check_versions(self, model: str, served: Served, saved: Iterable[str]) -> None:
        """Raise InvalidConfiguration if a version is neither declared nor saved: it could answer nobody."""
        known = {version.version for version in self.models.endpoint(model).versions} | set(saved)
        asked = [served.champion]
        if served.experiment is not None:
            asked += [variant.version for variant in served.experiment.variants]
        for version in asked:
            if version not in known:
                raise InvalidConfiguration(
                    f"{model} has no version {version}: there are {', '.join(sorted(known))}; declare it in "
                    f"{self.folder / MODELS}, or name one that is there"
                )


def text_of(path: Path) -> str:
    """The text of a file that somebody wrote."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidConfiguration(f"{path} cannot be read ({error}): write it as UTF-8 text") from None


def watched(base: Monitoring, objectives: Objectives, alerts: Alerts, model: str) -> Monitoring:
    """A model's monitoring with the objectives and alerts of the files, those of the machine (`_host`) among them."""
    host = HostRules(objectives=objectives.of(HOST), alerts=alerts.policy(HOST)) if HOST in objectives.models else None
    return msgspec.structs.replace(
        base, objectives=objectives.of(model), alerts=alerts.policy(model), host=host,
        epoch_s=alerts.monitoring_interval or base.epoch_s,
    )  # fmt: skip


def read_drift(folder: Path) -> Watches:
    """drift.yaml of a folder; empty if there is none."""
    path = folder / DRIFT
    return read_watches(text_of(path), str(path)) if path.is_file() else Watches()


def read_slo(folder: Path) -> Objectives:
    """slo.yaml of a folder; empty if there is none."""
    path = folder / SLO
    return read_objectives(text_of(path), str(path)) if path.is_file() else Objectives()


def read_alerting(folder: Path) -> Alerts:
    """alerts.yaml of a folder; the defaults if there is none."""
    path = folder / ALERTS
    return read_alerts(text_of(path), str(path)) if path.is_file() else Alerts()


def config_folder(root: Path, environment: Mapping[str, str] = os.environ) -> Path:
    """EVENHAND_CONFIG, else `config` in the current folder if it has a models.yaml, else that of the checkout."""
    named = environment.get(VARIABLE)
    if named:
        return Path(named)
    here = Path("config")
    return here if (here / MODELS).is_file() else root / "config"


def read_configuration(folder: Path) -> Configuration:
    """Read and check the files; all but models.yaml may be absent. InvalidConfiguration names what to change."""
    if not (folder / MODELS).is_file():
        raise InvalidConfiguration(f"{folder / MODELS} does not exist: write it, or name its folder in {VARIABLE}")
    models = read_models_config(folder / MODELS)
    path = folder / EXPERIMENTS
    experiments = Experiments()
    if path.is_file():
        experiments = read_experiments(text_of(path), str(path))
    for experiment in experiments.experiments:
        endpoint = models.endpoint(experiment.model)
        champion = experiment.variant(experiment.champion).version
        if champion != endpoint.champion:
            raise InvalidConfiguration(
                f"{path}: {experiment.name} has version {champion} as champion, but {MODELS} serves "
                f"{endpoint.champion}: name the same version"
            )
    objectives, alerts, watches = read_slo(folder), read_alerting(folder), read_drift(folder)
    for path, named in (
        (folder / SLO, objectives.models), (folder / ALERTS, alerts.models), (folder / DRIFT, watches.models),
    ):  # fmt: skip
        for model in named:
            if not model.startswith("_"):
                try:
                    models.endpoint(model)
                except InvalidConfiguration as error:
                    raise InvalidConfiguration(f"{path}: models: {error}") from None
    found = Configuration(folder, models, experiments, objectives, alerts, watches)
    for model in watches.models:
        try:
            found.monitoring(model)
        except InvalidConfiguration as error:
            raise InvalidConfiguration(f"{folder / DRIFT}: models.{model}: {error}") from None
    return found
