"""The prior that past experiments of a model have earned: empirical Bayes over their effects."""

from collections.abc import Iterable

from evenhand.experiments.experiment import Experiment
from evenhand.experiments.posterior import fitted_prior
from evenhand.experiments.standing import Standing

ENOUGH = 10


def prior_of(past: Iterable[tuple[Experiment, Standing]]) -> float | None:
    """The prior's standard deviation, as a fraction of the champion's loss; None while there are too few effects."""
    estimates, variances = [], []
    for experiment, standing in past:
        base = standing.base if standing.base is not None else abs(standing.loss(experiment, experiment.champion))
        for name in experiment.challengers:
            found = standing.observations(experiment, name)
            if base > 0.0 and found.n >= experiment.rule.minimum_sample_size and found.m2 > 0.0:
                estimates.append(found.mean / base)
                variances.append(found.m2 / (found.n - 1) / found.n / base**2)
    return fitted_prior(estimates, variances) if len(estimates) >= ENOUGH else None
