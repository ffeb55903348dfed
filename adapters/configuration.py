"""The folder `config`: what each model is to be served with, as far as the files say."""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from evenhand.errors import InvalidConfiguration
from evenhand.events import Served
from evenhand.experiments.configured import Experiments, read_experiments
from models.config import ModelsConfig, read_models_config

MODELS, EXPERIMENTS = "models.yaml", "experiments.yaml"
VARIABLE = "EVENHAND_CONFIG"


class Configuration:
    """Both files, checked one against the other."""

    def __init__(self, folder: Path, models: ModelsConfig, experiments: Experiments) -> None:
        self.folder, self.models, self.experiments = folder, models, experiments

    def served(self, model: str) -> Served:
        """What a model is to be served with."""
        endpoint = self.models.endpoint(model)
        return Served(champion=endpoint.champion, wait_s=endpoint.wait_s, experiment=self.experiments.of(model))

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


def config_folder(root: Path, environment: Mapping[str, str] = os.environ) -> Path:
    """EVENHAND_CONFIG, else `config` in the current folder if it has a models.yaml, else that of the checkout."""
    named = environment.get(VARIABLE)
    if named:
        return Path(named)
    here = Path("config")
    return here if (here / MODELS).is_file() else root / "config"


def read_configuration(folder: Path) -> Configuration:
    """Read and check the files; experiments.yaml may be absent. InvalidConfiguration names what to change."""
    if not (folder / MODELS).is_file():
        raise InvalidConfiguration(f"{folder / MODELS} does not exist: write it, or name its folder in {VARIABLE}")
    models = read_models_config(folder / MODELS)
    path = folder / EXPERIMENTS
    experiments = Experiments()
    if path.is_file():
        experiments = read_experiments(path.read_text(encoding="utf-8"), str(path))
    for experiment in experiments.experiments:
        endpoint = models.endpoint(experiment.model)
        champion = experiment.variant(experiment.champion).version
        if champion != endpoint.champion:
            raise InvalidConfiguration(
                f"{path}: {experiment.name} has version {champion} as champion, but {MODELS} serves "
                f"{endpoint.champion}: name the same version"
            )
    return Configuration(folder, models, experiments)
