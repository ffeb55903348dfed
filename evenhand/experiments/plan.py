"""How long it will take, before it begins and while it runs: sizes, power, and the date at the traffic so far."""

import math

import msgspec
from scipy.special import ndtr, ndtri

from evenhand.events import Moments, VariantEvidence
from evenhand.experiments.experiment import Experiment, Rule
from evenhand.experiments.sequential import Design, planned_size
from evenhand.experiments.standing import Standing

MEAN_SIZE = 0.75
"""Of the planned end, at the effect that was planned for: measured by `simulate`, between 0.69 and 0.74."""
DAY_MS = 86_400_000


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


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """How far a challenger's trial has come, and when it will end at the traffic so far.

    `observations` are what the test counts: clusters, or blocks of them, and so is `planned`. `effective` is how many
    independent clusters they are worth: fewer than there are where forecasts overlap. `relative_sd` is the spread of an
    observation over the champion's loss, as `plan` takes it. Dates are in milliseconds, None while nothing is known.
    """

    requests: int
    matured: int
    clusters: int
    observations: int
    effective: float | None
    planned: int | None
    requests_per_day: float | None
    observations_per_day: float | None
    relative_sd: float | None
    expected_ms: int | None
    planned_ms: int | None


def effective_size(clusters: Moments, observations: Moments) -> float | None:
    """How many independent clusters the observations are worth: as many as give the mean the variance that it has.

    Where forecasts overlap, `observations` are blocks, and worth less than the clusters in them. Where the metric is
    the users' own there are no paired clusters, and each observation counts.

    >>> effective_size(Moments(1000, 0.0, 999.0), Moments(40, 0.0, 39 * 0.2))
    200.0
    """
    n = observations.n
    if n < 2 or observations.m2 <= 0.0:
        return None
    if clusters.n < 2:
        return float(n)
    return min(float(clusters.n), clusters.m2 / (clusters.n - 1) / (observations.m2 / (n - 1) / n))


def progress(experiment: Experiment, standing: Standing, name: str, planned: int | None) -> Progress:
    """Of a challenger. The expected end is that of an effect as large as the one that matters."""
    none = VariantEvidence()
    own, champion = standing.variants.get(name, none), standing.variants.get(experiment.champion, none)
    paired = own.paired.get(experiment.success_metric, Moments())
    seen = standing.observations(experiment, name)
    days = (standing.reached_ms - standing.began_ms) / DAY_MS
    base = standing.base if standing.base is not None else abs(standing.loss(experiment, experiment.champion))
    is_known = seen.n > 1 and seen.m2 > 0.0
    sd = math.sqrt(seen.m2 / (seen.n - 1)) if is_known else None
    rate = seen.n / days if days > 0.0 and seen.n else None
    ends: list[int | None] = [None, None]
    if rate is not None and planned is not None and days > 0.0:
        least = experiment.rule.minimum_sample_size
        sizes = (max(least, MEAN_SIZE * planned if experiment.rule.early_stopping_enabled else planned), planned)
        ends = [round(standing.reached_ms + max(0.0, size - seen.n) / rate * DAY_MS) for size in sizes]
    return Progress(
        requests=champion.predictions, matured=own.matured, clusters=paired.n, observations=seen.n,
        effective=effective_size(paired, seen), planned=planned,
        requests_per_day=champion.predictions / days if days > 0.0 else None,
        observations_per_day=rate, relative_sd=sd / base if sd is not None and base else None,
        expected_ms=ends[0], planned_ms=ends[1],
    )  # fmt: skip
