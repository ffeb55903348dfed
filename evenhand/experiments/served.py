"""What a variant's requests were worth, by phase: response times, and the metrics that users report.

These are known of the variant that answered alone, so variants are compared over different requests. Weights change
from phase to phase, and the traffic with them: what is compared is kept by phase, and never pooled.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import msgspec

from evenhand.events import CoMoments
from evenhand.experiments.comoments import comoments
from evenhand.experiments.evidence import Exposure, Ratios, Times
from evenhand.experiments.experiment import Experiment
from evenhand.experiments.user_metric import OBSERVATIONS, REQUESTS, UserMetric
from evenhand.metrics import slow_responses
from evenhand.metrics.measure import MEASURES


class Measured(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A report in `metrics.v1` with the variant that it counts for, under which control, and for whom.

    Of several answers that it may be about, the one with the least rank counts.
    """

    time: int
    name: str
    value: float
    variant: str
    control: str
    unit: str
    rank: tuple[int, str, str, str]


class Served(NamedTuple):
    """Ratios and times of one control."""

    ratios: Ratios
    times: Times


def measured_by(experiment: Experiment) -> set[str]:
    """Which measures of response times its guardrails name."""
    return {each.metric for each in experiment.rule.guardrails} & {*MEASURES, slow_responses.NAME}


def served(
    experiment: Experiment, exposures: Mapping[str, Exposure], measured: Iterable[Measured]
) -> dict[str, Served]:
    """By control: sum and count of each metric, by unit. A unit that two variants answered under one is left out."""
    wanted, metrics = measured_by(experiment), experiment.metrics
    if not wanted and not metrics:
        return {}
    answered: dict[tuple[str, str, str], list[Exposure]] = defaultdict(list)  # control, unit, variant
    for request, each in exposures.items():
        answered[each.control, each.unit or request, each.variant].append(each)
    reports: dict[tuple[str, str, str], list[Measured]] = defaultdict(list)
    for report in measured:
        reports[report.control, report.unit, report.variant].append(report)
    every = sorted({*answered, *reports})
    answers = Counter((control, unit) for control, unit, _ in every)
    groups: dict[tuple[str, str], list[tuple[str, str, str]]] = defaultdict(list)
    for place in every:
        if answers[place[0], place[1]] == 1:
            groups[place[0], place[2]].append(place)
    found: dict[str, Served] = {}
    for (control, variant), places in groups.items():
        own = found.setdefault(control, Served({}, {}))
        times = [
            [e.response_time_ms for e in sorted(answered[p], key=_order) if e.response_time_ms is not None]
            for p in places
            if p in answered
        ]
        own.ratios[variant] = _of_times(wanted, [each for each in times if each])
        for metric in metrics:
            own.ratios[variant][metric.name] = _of_reports(metric.sums, places, answered, reports)
            if metric.covariate:
                own.ratios[variant][metric.adjusted] = _beside(metric, places, reports)
        if slow_responses.NAME in wanted:
            firsts = [each[0] for each in times if each]
            own.times[variant] = dict(sorted(Counter(map(slow_responses.bucket, firsts)).items()))
    return found


def _order(exposure: Exposure) -> tuple[int, float]:
    return exposure.time, exposure.response_time_ms or 0.0


def _of_times(wanted: set[str], times: Sequence[Sequence[float]]) -> dict[str, CoMoments]:
    counts = [float(len(each)) for each in times]
    return {
        name: comoments([math.fsum(map(MEASURES[name]().of, each)) for each in times], counts)
        for name in sorted(wanted & MEASURES.keys())
    }


def _of_reports(
    sums: tuple[str, str],
    places: Iterable[tuple[str, str, str]],
    answered: Mapping[tuple[str, str, str], Sequence[Exposure]],
    reports: Mapping[tuple[str, str, str], Sequence[Measured]],
) -> CoMoments:
    upper, per = sums
    above, below = [], []
    for place in places:
        values = [each.value for each in reports.get(place, ()) if each.name == upper]
        if per == OBSERVATIONS:
            count = float(len(values))
        elif per == REQUESTS:
            count = float(len(answered.get(place, ())))
        else:
            count = math.fsum(each.value for each in reports.get(place, ()) if each.name == per)
        if values or count:
            above.append(math.fsum(values))
            below.append(count)
    return comoments(above, below)


def _beside(
    metric: UserMetric,
    places: Iterable[tuple[str, str, str]],
    reports: Mapping[tuple[str, str, str], Sequence[Measured]],
) -> CoMoments:
    """Of units that have both: the mean report, beside the mean of what was known before."""
    means, known = [], []
    for place in places:
        values = [each.value for each in reports.get(place, ()) if each.name == metric.sums[0]]
        covariates = [each.value for each in reports.get(place, ()) if each.name == metric.covariate]
        if values and covariates:
            means.append(math.fsum(values) / len(values))
            known.append(math.fsum(covariates) / len(covariates))
    return comoments(means, known)
