"""What is watched of a served model while it serves: how long an epoch is, what is sampled, what counts as drift."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from evenhand.alerts.policy import AlertPolicy
from evenhand.slo.objective import Objective

Watched = Literal["inputs", "predictions", "losses", "expected_loss"]
Rate = Annotated[float, Meta(gt=0, le=1_000_000)]
Name = Annotated[str, Meta(min_length=1, max_length=128)]


class DriftRule(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Which features, against which reference, and how many false alarms are allowed, over all that is `watched`.

    `features` are those of a request, in the model's order; `only` names those that are looked at (default: all).
    `reference`: `training` is the sample that was kept when the version was trained, `learned` the first
    `reference_size` rows; `window` the rows of the event times `window`. A version without a sample learns.
    A feature of long memory is looked at once in so many rows (thinning); `max_thinning` bounds that, at the price of
    more false alarms. `warning_margin` is by what fraction the predicted loss must rise.
    """

    features: Annotated[tuple[Name, ...], Meta(max_length=512)] = ()
    only: tuple[Name, ...] = ()
    watched: tuple[Watched, ...] = ("inputs", "predictions", "losses", "expected_loss")
    false_alarms_per_month: Rate | None = None
    false_alarms_per_100k: Rate | None = None
    reference: Literal["training", "learned", "window"] = "training"
    window: tuple[int, int] | None = None
    reference_size: Annotated[int, Meta(ge=100, le=20_000)] = 2000
    max_thinning: Annotated[int, Meta(ge=1)] | None = None
    warning_margin: Annotated[float, Meta(gt=0)] = 0.1

    @property
    def looked_at(self) -> tuple[str, ...]:
        """The features that are looked at."""
        return self.only or self.features


class HostRules(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the machine itself, `_host`, is held to: its readings belong to no model."""

    objectives: tuple[Objective, ...] = ()
    alerts: AlertPolicy | None = None


MAX_VALUES = 24_000  # of a sample: a report must fit in a record


class Monitoring(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Once in `epoch_s` of event time there is a report, and drift is judged; events may be `grace_s` late.

    Requests of one key in the same `cluster_s` seconds are one row (0: each is its own): all of an hour that share a
    market's state are no more evidence than one. Of an epoch at most `sample_rows` rows are looked at for drift.
    """

    epoch_s: Annotated[int, Meta(ge=1, le=604_800)] = 60
    grace_s: Annotated[int, Meta(ge=0, le=604_800)] = 60
    cluster_s: Annotated[int, Meta(ge=0, le=604_800)] = 0
    sample_rows: Annotated[int, Meta(ge=16, le=4096)] = 512
    loss: Name = "squared_error"
    drift: DriftRule | None = None
    objectives: tuple[Objective, ...] = ()
    alerts: AlertPolicy | None = None
    host: HostRules | None = None

    @property
    def rows(self) -> int:
        """How many rows of an epoch are looked at: `sample_rows`, or fewer where they are very wide."""
        width = 1 if self.drift is None else len(self.drift.looked_at)
        return min(self.sample_rows, max(16, MAX_VALUES // max(1, width)))
