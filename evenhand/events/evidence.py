"""Sums over the epochs of an experiment."""

import msgspec

from evenhand.events.event import Event, Model, Text
from evenhand.experiments.experiment import Experiment


class Moments(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Count, mean, and sum of squared deviations of a metric: [n, mean, m2, low].

    `low` is what rounding took from the mean, so that sums of values around 1e9 merge without loss.
    """

    n: int = 0
    mean: float = 0.0
    m2: float = 0.0
    low: float = 0.0


class CoMoments(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Of two metrics: count, means, sums of squared deviations, sum of their products, what rounding took."""

    n: int = 0
    mean_x: float = 0.0
    mean_y: float = 0.0
    m2_x: float = 0.0
    m2_y: float = 0.0
    c_xy: float = 0.0
    low_x: float = 0.0
    low_y: float = 0.0


class Phase(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """Units under one control: its weights, and by variant how many were served and how many of them matured.

    `requests` are all that were served under it, of units that have been counted before, too.
    `due` are those whose wait for an outcome is over, `returned` those of them whose outcome came in time. `crossed`
    counts units that several variants answered under this control, which no split does. `ratios` are of what a variant
    served, by variant and metric: sums of two quantities by unit and epoch. `times` counts response times in buckets
    whose bounds differ by 2 %, of each unit's first request in an epoch.
    """

    weights: dict[str, int]
    served: dict[str, int] = {}
    matured: dict[str, int] = {}
    due: dict[str, int] = {}
    returned: dict[str, int] = {}
    crossed: int = 0
    requests: int = 0
    ratios: dict[str, dict[str, CoMoments]] = {}
    times: dict[str, dict[int, int]] = {}


class VariantEvidence(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """Sums of one variant. Counts are of requests; the moments are of clusters, whatever the number of requests.

    `losses` are the variant's own, `paired` the differences to the champion on the same clusters (negative: better).
    `ratios` are of what it served, where that is not told by phase: sum and count of a metric, by unit and epoch.
    """

    served: int = 0
    predictions: int = 0
    errors: int = 0
    matured: int = 0
    losses: dict[str, Moments] = {}
    paired: dict[str, Moments] = {}
    ratios: dict[str, CoMoments] = {}


class EvidenceReported(Event, frozen=True, kw_only=True, omit_defaults=True):
    """One partition's sums for one subject and epoch, or a run of empty epochs, first and last included.

    `experiment` is the configuration under which the epochs were counted.
    """

    model: Model
    subject: Text
    experiment: Experiment
    partition: int
    first_epoch: int
    last_epoch: int
    epoch_s: int
    variants: dict[str, VariantEvidence] = {}
    phases: dict[str, Phase] = {}
    digest: str = ""
