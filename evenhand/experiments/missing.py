"""Outcomes that never came, at their worst, so that nobody is promoted whom they could overturn.

The population is fixed at exposure, so a fraction f of it has no outcome. Of its mean difference only (1 - f) times
the observed one is known. The rest is at worst the greatest difference that the metric can have (Manski 1990). A metric
without a bound has no worst: the missing differences are then taken to lie so many standard deviations above the mean.
"""

from evenhand.events import Moments
from evenhand.experiments.experiment import Experiment
from evenhand.metrics.base import REGISTRY


def at_worst(experiment: Experiment, clusters: Moments, upper: float, fraction: float) -> float:
    """The upper end of a difference's interval with the missing ones at their worst, in the metric's unit.

    `clusters` are the differences that came, `upper` the upper end of the interval of their mean.

    >>> from evenhand.experiments.experiment import Variant
    >>> variants = tuple(Variant(name=name, version="1.0.0", weight=1) for name in "ab")
    >>> trial = Experiment(name="t", model="m", champion="a", variants=variants, success_metric="direction_error")
    >>> round(at_worst(trial, Moments(100, -0.1, 20.0), -0.05, 0.1), 3)
    0.055
    """
    if fraction <= 0.0:
        return upper
    worst = REGISTRY[experiment.success_metric].bound
    if worst is None:
        sd = (clusters.m2 / (clusters.n - 1)) ** 0.5 if clusters.n > 1 else 0.0
        worst = clusters.mean + experiment.rule.missing_deviations * sd
    return (1.0 - fraction) * upper + fraction * max(worst, upper)
