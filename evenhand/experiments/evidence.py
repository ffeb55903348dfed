"""Sums that add up: what one partition knows of one epoch, merged exactly and in any order of partitions.

Chan, Golub & LeVeque (1983), "Algorithms for computing the sample variance": count, mean and sum of squared
deviations merge without the cancellation that a sum of squares suffers (values around 1e9 keep their variance).
"""

import math
from collections.abc import Iterable, Mapping, Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from evenhand.events import Moments, VariantEvidence
from evenhand.experiments.experiment import Experiment
from evenhand.metrics import loss

Floats = NDArray[np.float64]


class Pair(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A matured prediction: when, of which cluster, what each variant said, and what came.

    `rank` orders the pairs that contradict each other: the least one counts.
    """

    time: int
    cluster: str
    outcome: float
    values: dict[str, float | None]
    rank: tuple[int, str, str, str]


class Exposure(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A served request: by which variant, and which variants failed on it (True) or answered (False)."""

    time: int
    variant: str
    failed: dict[str, bool]


def moments(values: Sequence[float]) -> Moments:
    """Count, mean and squared deviations of values, correctly rounded: no order of summation can move them.

    >>> moments([1.0, 2.0, 4.0])
    Moments(n=3, mean=2.3333333333333335, m2=4.666666666666667)
    """
    if not values:
        return Moments()
    mean = math.fsum(values) / len(values)
    return Moments(len(values), mean, math.fsum([(value - mean) ** 2 for value in values]))


def merge(a: Moments, b: Moments) -> Moments:
    """Of both together.

    >>> merge(moments([1.0, 2.0]), moments([4.0])).m2 - moments([1.0, 2.0, 4.0]).m2
    0.0
    """
    if a.n == 0 or b.n == 0:
        return a if b.n == 0 else b
    n, difference = a.n + b.n, b.mean - a.mean
    return Moments(n, a.mean + difference * b.n / n, a.m2 + b.m2 + difference * difference * a.n * b.n / n)


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
    )


def _merge_metrics(a: Mapping[str, Moments], b: Mapping[str, Moments]) -> dict[str, Moments]:
    none = Moments()
    return {name: merge(a.get(name, none), b.get(name, none)) for name in sorted({*a, *b})}


def fold(experiment: Experiment, exposures: Iterable[Exposure], pairs: Sequence[Pair]) -> dict[str, VariantEvidence]:
    """One epoch's evidence of each variant. Requests that share a cluster are averaged first: it counts once.

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
    metric = loss(experiment.success_metric)
    losses: dict[str, Floats] = {}
    for name in counts:
        values = np.array([pair.values.get(name) for pair in pairs], np.float64)  # None becomes NaN
        losses[name] = metric.losses(values, outcomes)
    champion = losses[experiment.champion]
    evidence = {}
    for name, own in losses.items():
        served, predictions, errors = counts[name]
        paired = {} if name == experiment.champion else {metric.name: _of_clusters(own - champion, cluster)}
        evidence[name] = VariantEvidence(
            served=served,
            predictions=predictions,
            errors=errors,
            matured=int(np.count_nonzero(~np.isnan(own))),
            losses={metric.name: _of_clusters(own, cluster)},
            paired=paired,
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
