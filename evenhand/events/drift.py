"""What has changed about a model since its reference."""

from typing import Literal

import msgspec

from evenhand.events.event import Event, Model, Text

Drifting = Literal["inputs", "predictions", "losses", "expected_loss", "estimate"]


class DriftFinding(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """What changed in one feature: mean, spread, shape or loss, how much, and how many rows ago.

    `effect_size` is in standard deviations of the cause's score under the reference; its sign is the direction.
    """

    feature: str
    cause: str
    statistic: float
    effect_size: float
    rows_ago: int = 0


class DriftDetected(Event, frozen=True, kw_only=True, omit_defaults=True):
    """A detector's alarm, with its effect size: the model is drifted until DriftCleared of the same `kind`.

    `kind`: `inputs` and `predictions` warn, `losses` (outcomes say that the model is worse) asks for retraining;
    `expected_loss` says so before the outcomes are there, and `estimate` that this was wrong and is not to be believed.
    `statistic` is the part of the budget of false alarms that the evidence has used up, `threshold` all of it.
    `feature` and `cause` are the clearest of `findings`. The evidence's offsets stand in the record's headers.
    """

    model: Model
    detector: Text
    feature: str | None = None
    statistic: float
    threshold: float
    effect_size: float
    reference_size: int
    window_size: int
    cause: str = ""
    kind: Drifting | None = None
    version: str | None = None
    epoch: int | None = None
    epoch_s: int | None = None
    generation: int = 0
    findings: tuple[DriftFinding, ...] = ()
    evidence_digest: str = ""


class DriftCleared(Event, frozen=True, kw_only=True, omit_defaults=True):
    """The end of a drift: there is a new reference, number `generation`, and the detector is armed again."""

    model: Model
    detector: Text
    feature: str | None = None
    reason: str = ""
    kind: Drifting | None = None
    version: str | None = None
    epoch: int | None = None
    epoch_s: int | None = None
    generation: int = 0
    reference_size: int | None = None


class DriftJudged(Event, frozen=True, kw_only=True, omit_defaults=True):
    """A tick of the judge of drift: all that it says of `model` up to `time`, the end of an epoch, stands before this.

    `reported`: it has reported scores of this epoch, which come back as a service level. Of a long silence, one a day.
    """

    model: Model
    subject: Text
    epoch: int
    reported: bool = False
