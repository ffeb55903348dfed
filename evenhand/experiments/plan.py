"""How long it will take, before it begins: sizes, power, and the date at the traffic that was seen."""

import math

import msgspec
from scipy.special import ndtr, ndtri

from evenhand.experiments.experiment import Rule
from evenhand.experiments.sequential import Design, planned_size

MEAN_SIZE = 0.75
"""Of the planned end, at the effect that was planned for: measured by `simulate`, between 0.70 and 0.76."""


class Plan(msgspec.Struct, frozen=True):
    """Sizes in clusters (blocks, where there are), `power` by effect relative to the champion's loss."""

    planned_clusters: int
    expected_clusters: int
    planned_days: float | None
    expected_days: float | None
    power: dict[str, float]


def plan(rule: Rule, relative_sd: float, challengers: int = 1, clusters_per_day: float | None = None) -> Plan:
    """The plan of a rule. `relative_sd` is the standard deviation of the paired difference over the champion's loss.

    The power is that of the fixed test at the planned end; with a look at every event it is 2 to 6 points less.

    >>> found = plan(Rule(minimum_detectable_effect=0.05), relative_sd=0.5, clusters_per_day=24)
    >>> found.planned_clusters, round(found.power["0.05"], 2)
    (785, 0.8)
    """
    alpha = (1.0 - rule.confidence_level) / challengers
    design = Design(alpha, rule.minimum_detectable_effect, rule.power, planned=rule.maximum_sample_size)
    size = math.ceil(max(float(planned_size(design, relative_sd)), rule.minimum_sample_size))
    expected = max(rule.minimum_sample_size, math.ceil(MEAN_SIZE * size)) if rule.early_stopping_enabled else size
    critical = float(ndtri(1.0 - alpha / 2.0))
    effects = [rule.minimum_detectable_effect * times for times in (0.0, 0.5, 0.75, 1.0, 1.5, 2.0)]
    powers = {
        f"{effect:.4g}": round(float(ndtr(effect * math.sqrt(size) / relative_sd - critical)), 4) for effect in effects
    }
    days = None if clusters_per_day is None else size / clusters_per_day
    return Plan(size, expected, days, None if days is None else days * expected / size, powers)
