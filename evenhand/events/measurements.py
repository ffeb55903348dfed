"""What is measured of everything that is served, and reported of it."""

import msgspec

from evenhand.events.event import Event, Model, Text
from evenhand.monitoring import Monitoring


class SampledRow(msgspec.Struct, frozen=True, array_like=True, order=True, gc=False):
    """One row of a sample: the hash of its cluster, its time, its values."""

    hash: Text
    time: int
    values: tuple[float, ...]


Sums = dict[str, int | float | tuple[int | float, ...] | dict[str, int | float]]


class VersionMeasured(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """One version in one epoch: sketches by name, as sums; a sample of its values, and of its losses.

    Rows have a score beside the value or loss: how wide the interval was, else the confidence, where there is one.
    """

    sketches: dict[str, Sums] = {}
    predictions: tuple[SampledRow, ...] = ()
    losses: tuple[SampledRow, ...] = ()


class EpochMeasured(Event, frozen=True, kw_only=True, omit_defaults=True):
    """One partition's measurements of a model over an epoch, or a run of empty epochs, first and last included.

    `subject` names the model and the policy under which they were measured, `champion` the version that served.
    `inputs` are rows of the requests' features, in the policy's order: those of the least hashes, so that the samples
    of all partitions together are the sample of one. With `is_alone`, no other partition measures the subject (readings
    of a host, which are of no served model), and epochs without any are not reported.
    """

    model: Model
    subject: Text
    partition: int
    first_epoch: int
    last_epoch: int
    epoch_s: int
    champion: Text
    monitoring: Monitoring
    inputs: tuple[SampledRow, ...] = ()
    versions: dict[str, VersionMeasured] = {}
    late: int = 0
    is_alone: bool = False
    digest: str = ""


class MetricReported(Event, frozen=True, kw_only=True, omit_defaults=True):
    """Merged metrics of a model (and version) over one epoch. Names carry their units; `counts` say of how many."""

    model: Model
    version: str | None = None
    epoch: int
    epoch_s: int
    values: dict[str, float]
    counts: dict[str, int] = {}
