"""Sums that add up: what one partition knows of one epoch, merged exactly and in any order of partitions.

Chan, Golub & LeVeque (1983), "Algorithms for computing the sample variance": count, mean and sum of squared
deviations merge without the cancellation that a sum of squares suffers (values around 1e9 keep their variance).
"""

import math
from collections import Counter
from collections.abc import Container, Iterable, Mapping, Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from evenhand.events import CoMoments, Moments, Phase, VariantEvidence
from evenhand.experiments.comoments import centre, merge_comoments, split_sum
from evenhand.experiments.experiment import Experiment
from evenhand.metrics import loss

Floats = NDArray[np.float64]
Ratios = dict[str, dict[str, CoMoments]]  # by variant and metric
Times = dict[str, dict[int, int]]  # by variant: response times, in buckets


class Pair(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A matured prediction: when, of which cluster, what each variant said, and what came.

    `rank` orders the pairs that contradict each other: the least one counts. `served` is by whom its request was, and
    `control` the digest of what held then; empty but for the first step, so that a request counts once.
    `predicted_time` is when the prediction was made.
    """

    time: int
    cluster: str
    outcome: float
    values: dict[str, float | None]
    rank: tuple[int, str, str, str]
    served: str = ""
    control: str = ""
    predicted_time: int = 0


class Exposure(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A served request: by which variant, and which variants failed on it (True) or answered (False).

    Under which control (its digest), for whom (empty: the unit is the request) and, where a guardrail asks for it, in
    how long.
    """

    time: int
    variant: str
    failed: dict[str, bool]
    control: str = ""
    unit: str = ""
    response_time_ms: float | None = None


def moments(values: Sequence[float]) -> Moments:
    """Count, mean and squared deviations of values, correctly rounded: no order of summation can move them.

    >>> moments([1.0, 2.0, 4.0])
    Moments(n=3, mean=2.3333333333333335, m2=4.666666666666667, low=-1.4802973661668753e-16)
    """
    if not values:
        return Moments()
    mean, low = centre(values)
    return Moments(len(values), mean, math.fsum([(value - mean - low) ** 2 for value in values]), low)


def merge(a: Moments, b: Moments) -> Moments:
    """Of both together.

    >>> merge(moments([1.0, 2.0]), moments([4.0])).m2 - moments([1.0, 2.0, 4.0]).m2
    0.0
    """
    if a.n == 0 or b.n == 0:
        return a if b.n == 0 else b
    n, difference = a.n + b.n, (b.mean - a.mean) + (b.low - a.low)
    mean, low = split_sum(a.mean, difference * b.n / n + a.low)
    return Moments(n, mean, a.m2 + b.m2 + difference * difference * a.n * b.n / n, low)


def merge_variants(a: Mapping[str, VariantEvidence], b: Mapping[str, VariantEvidence]) -> dict[str, VariantEvidence]:
    """Evidence of both together, variant by variant, metric by metric."""
    return {name: _merge(a.get(name), b.get(name)) for name in sorted({*a, *b})}


def _merge(a: VariantEvidence | None, b: VariantEvidence | None) -> VariantEvidence:
    if a is None or b is None:
        return a or b or VariantEvidence()
    return VariantEvidence(
        served=a.served + b.served,
        predictions=a.predictions + b.predictions,
        errors=a.errors + b.errors,
        matured=a.matured + b.matured,
        losses=_merge_metrics(a.losses, b.losses),
        paired=_merge_metrics(a.paired, b.paired),
        ratios=_merge_sums(a.ratios, b.ratios),
    )


def merge_phases(a: Mapping[str, Phase], b: Mapping[str, Phase]) -> dict[str, Phase]:
    """Counts of both together, phase by phase."""
    merged = dict(a)
    for digest, phase in b.items():
        held = merged.get(digest)
        merged[digest] = phase if held is None else Phase(
            weights=held.weights,
            served=_added(held.served, phase.served),
            matured=_added(held.matured, phase.matured),
            due=_added(held.due, phase.due),
            returned=_added(held.returned, phase.returned),
            crossed=held.crossed + phase.crossed,
            requests=held.requests + phase.requests,
            ratios=merge_ratios(held.ratios, phase.ratios),
            times=merge_times(held.times, phase.times),
        )  # fmt: skip
    return {digest: merged[digest] for digest in sorted(merged)}


def _added(a: Mapping[str, int], b: Mapping[str, int]) -> dict[str, int]:
    return {name: a.get(name, 0) + b.get(name, 0) for name in sorted({*a, *b})}


def count_phases(
    weights: Mapping[str, Mapping[str, int]],
    exposures: Iterable[Exposure],
    pairs: Iterable[Pair],
    due: Mapping[str, Mapping[str, Sequence[int]]] | None = None,
    crossed: Mapping[str, int] | None = None,
    sums: Mapping[str, tuple[Ratios, Times]] | None = None,
    requests: Mapping[str, int] | None = None,
) -> dict[str, Phase]:
    """What was served, and what of it matured, under each control whose weights are known.

    `due` is what has been waited for long enough, served and returned; `crossed` counts units; `sums` are of `served`.
    `requests` are all that were served.
    """
    served = Counter((each.control, each.variant) for each in exposures)
    matured = Counter((each.control, each.served) for each in pairs)
    phases = {}
    for digest, shares in sorted(weights.items()):
        ended, (ratios, times) = (due or {}).get(digest, {}), (sums or {}).get(digest, ({}, {}))
        phase = Phase(
            weights=dict(shares),
            served={name: served[digest, name] for name in shares if served[digest, name]},
            matured={name: matured[digest, name] for name in shares if matured[digest, name]},
            due={name: ended[name][0] for name in sorted(ended)},
            returned={name: ended[name][1] for name in sorted(ended)},
            crossed=(crossed or {}).get(digest, 0),
            requests=(requests or {}).get(digest, 0),
            ratios={name: ratios[name] for name in sorted(ratios) if name in shares},
            times={name: times[name] for name in sorted(times) if name in shares},
        )
        if phase.requests or phase.served or phase.matured or phase.due or phase.ratios:
            phases[digest] = phase
    return phases


def merge_ratios(a: Mapping[str, Mapping[str, CoMoments]], b: Mapping[str, Mapping[str, CoMoments]]) -> Ratios:
    """Of both together."""
    return {variant: _merge_sums(a.get(variant, {}), b.get(variant, {})) for variant in sorted({*a, *b})}


def _merge_sums(a: Mapping[str, CoMoments], b: Mapping[str, CoMoments]) -> dict[str, CoMoments]:
    none = CoMoments()
    return {name: merge_comoments(a.get(name, none), b.get(name, none)) for name in sorted({*a, *b})}


def merge_times(a: Mapping[str, Mapping[int, int]], b: Mapping[str, Mapping[int, int]]) -> Times:
    """Of both together."""
    return {
        variant: dict(sorted((Counter(a.get(variant, {})) + Counter(b.get(variant, {}))).items()))
        for variant in sorted({*a, *b})
    }


def _merge_metrics(a: Mapping[str, Moments], b: Mapping[str, Moments]) -> dict[str, Moments]:
    none = Moments()
    return {name: merge(a.get(name, none), b.get(name, none)) for name in sorted({*a, *b})}


def fold(
    experiment: Experiment, exposures: Iterable[Exposure], pairs: Sequence[Pair], repeated: Container[str] = ()
) -> dict[str, VariantEvidence]:
    """One epoch's evidence of each variant. Requests that share a cluster are averaged first: it counts once.

    Clusters that are `repeated` have been counted in an earlier epoch: their outcomes matured, and say nothing new.
    Cost: a microsecond a pair and variant. The order of pairs must not depend on how they arrived.
    """
    counts = {variant.name: [0, 0, 0] for variant in experiment.variants}
    for exposure in exposures:
        if exposure.variant in counts:
            counts[exposure.variant][0] += 1
        for name, failed in exposure.failed.items():
            if name in counts:
                counts[name][1] += 1
                counts[name][2] += failed
    codes: dict[str, int] = {}
    cluster = np.array([codes.setdefault(pair.cluster, len(codes)) for pair in pairs], np.int64)
    outcomes = np.array([pair.outcome for pair in pairs], np.float64)
    known = np.array([pair.cluster in repeated for pair in pairs], np.bool_)
    metric = loss(experiment.success_metric) if experiment.measure is None else None
    losses, matured = dict[str, Floats](), dict[str, int]()
    for name in counts:
        values = np.array([pair.values.get(name) for pair in pairs], np.float64)  # None becomes NaN
        losses[name] = values if metric is None else metric.losses(values, outcomes)
        matured[name] = int(np.count_nonzero(~np.isnan(values)))
        losses[name][known] = np.nan
    champion = losses[experiment.champion]
    evidence = {}
    for name, own in losses.items():
        served, predictions, errors = counts[name]
        is_compared = metric is not None and name != experiment.champion
        evidence[name] = VariantEvidence(
            served=served,
            predictions=predictions,
            errors=errors,
            matured=matured[name],
            losses={} if metric is None else {metric.name: _of_clusters(own, cluster)},
            paired={experiment.success_metric: _of_clusters(own - champion, cluster)} if is_compared else {},
        )
    return evidence


def _of_clusters(values: Floats, cluster: NDArray[np.int64]) -> Moments:
    known = ~np.isnan(values)
    if not known.any():
        return Moments()
    of = cluster[known]
    count = np.bincount(of)
    sums = np.bincount(of, weights=values[known])
    return moments((sums[count > 0] / count[count > 0]).tolist())
