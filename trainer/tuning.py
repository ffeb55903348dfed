"""Tuning inside a fold: what is chosen is chosen on the fold's own training rows, and every trial is counted.

Optuna's tree-structured Parzen estimator (Bergstra et al. 2011) proposes them, seeded and in memory, with the model's
usual parameters as the first trial. Each trial learns from the first three quarters of the training and is judged by
the squared error on the purged rest.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from evenhand.errors import EvenhandError, InvalidConfiguration
from evenhand.training.examples import FloatArray, Forecaster, Learner
from models.base import Model, model_kind
from models.signature import Signature

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

VALIDATED_FRACTION = 0.25


class Range(NamedTuple):
    """A parameter's least and greatest value, on a logarithmic scale; whole numbers where both ends are."""

    low: float
    high: float

    def distribution(self) -> "BaseDistribution":
        """The same for Optuna."""
        from optuna.distributions import FloatDistribution, IntDistribution  # noqa: PLC0415

        if isinstance(self.low, int) and isinstance(self.high, int):
            return IntDistribution(self.low, self.high, log=True)
        return FloatDistribution(self.low, self.high, log=True)


_TREES = {
    "learning_rate": Range(0.01, 0.2),
    "num_leaves": Range(4, 63),
    "min_data_in_leaf": Range(10, 300),
    "num_boost_round": Range(20, 300),
    "lambda_l2": Range(0.1, 100.0),
}
_NETS = {"width": Range(8, 48), "learning_rate": Range(0.001, 0.02), "weight_decay": Range(0.0001, 0.1)}
SPACES: Mapping[str, Mapping[str, Range]] = MappingProxyType(
    {
        "ridge": {"alpha": Range(0.1, 100_000.0)},
        "boosted_trees": _TREES,
        "quantile_trees": _TREES,
        "lstm": _NETS,
        "transformer": _NETS,
        "online": {"learning_rate": Range(0.001, 0.2), "l2": Range(0.00001, 0.1)},
    }
)


def tune(
    kind: str, signature: Signature, usual: Mapping[str, Any], table: tuple[FloatArray, FloatArray], seed: int,
    trials: int,
) -> dict[str, Any]:  # fmt: skip
    """Return the parameters that were best on the last quarter of a table (rows, targets) in order of time."""
    space = SPACES.get(kind)
    if trials <= 1 or space is None:
        return dict(usual)
    try:
        import optuna  # noqa: PLC0415  for tuning only
    except ImportError as error:
        raise EvenhandError("tuning needs Optuna: pip install 'evenhand[tuning]'") from error
    rows, targets = table
    cut = int(len(rows) * (1 - VALIDATED_FRACTION))
    seen = cut - targets.shape[1]  # labels of the rows between reach into what is validated
    if seen < 1 or not np.isfinite(targets[cut:]).any():
        raise InvalidConfiguration(f"{len(rows)} rows are too few to tune on; give a longer history, or do not tune")

    def loss(parameters: Mapping[str, Any]) -> float:
        model = model_kind(kind)(signature, parameters).learn_only(rows[:seen], targets[:seen], seed)
        errors = model.forecast(np.ascontiguousarray(rows[cut:]), signature.max_horizon) - targets[cut:]
        return float(np.nanmean(errors**2))

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=seed))
    distributions = {name: each.distribution() for name, each in space.items()}
    held, best, least = model_kind(kind)(signature, usual).plain_parameters(), dict(usual), loss(usual)
    known = {name: held[name] for name in space}
    if all(each.low <= known[name] <= each.high for name, each in space.items()):
        study.add_trial(optuna.trial.create_trial(params=known, distributions=distributions, value=least))
    for _ in range(trials - 1):
        trial = study.ask(distributions)
        parameters = {**usual, **trial.params}
        found = loss(parameters)
        study.tell(trial, found)
        if found < least:
            best, least = parameters, found
    return best


def tuned_learner(
    kind: str, signature: Signature, usual: Mapping[str, Any], trials: int, made: Callable[[Model], None] | None = None
) -> Learner:
    """Return what tunes and then learns, on nothing but the rows that it gets. `made` is told of each model."""

    def learn(rows: FloatArray, targets: FloatArray, seed: int) -> Forecaster:
        parameters = tune(kind, signature, usual, (rows, targets), seed, trials)
        model = model_kind(kind)(signature, parameters).learn_only(rows, targets, seed)
        if made is not None:
            made(model)
        return lambda tested: model.forecast(np.ascontiguousarray(tested), signature.max_horizon)

    return learn
