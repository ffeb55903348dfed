"""The experiments that a deployment declares in `config/experiments.yaml`."""

import msgspec

from evenhand.config import load_yaml_strict
from evenhand.errors import InvalidConfiguration
from evenhand.experiments.ab_test import ABTestConfig
from evenhand.experiments.experiment import Experiment


class Experiments(msgspec.Struct, frozen=True):
    """The whole file: at most one experiment for each served model.

    `ab_tests` has the short form, by served model; once read, its experiments stand among the others.
    """

    experiments: tuple[Experiment, ...] = ()
    ab_tests: dict[str, ABTestConfig] = {}

    def of(self, model: str) -> Experiment | None:
        """The experiment of a served model, if one is declared."""
        return next((one for one in self.experiments if one.model == model), None)


def read_experiments(text: str, where: str = "experiments.yaml") -> Experiments:
    """Experiments from the text of the file; InvalidConfiguration names what to change.

    >>> read_experiments("experiments: []").of("btc-usd-1h") is None
    True
    """
    found = load_yaml_strict(text, Experiments, where)
    short = tuple(config.experiment(model) for model, config in found.ab_tests.items())
    found = Experiments(experiments=(*found.experiments, *short))
    for place, experiment in enumerate(found.experiments):
        for earlier in found.experiments[:place]:
            if earlier.name == experiment.name:
                raise InvalidConfiguration(f"{where}: two experiments are named {experiment.name!r}: rename one")
            if earlier.model == experiment.model:
                raise InvalidConfiguration(
                    f"{where}: {earlier.name!r} and {experiment.name!r} are both of model {experiment.model!r}: make "
                    "it one experiment with more variants, or start the second when the first has ended"
                )
    return found
