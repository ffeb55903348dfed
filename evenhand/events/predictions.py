"""Requests that are assigned and answered, and answers that are joined with what came of them."""

import msgspec

from evenhand.events.event import Event, Model, Request, Step, Text, Time, Unit
from evenhand.events.told import PredictionRequested


class Arm(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A variant that predicts on a request without being served."""

    variant: Text
    version: Text


class RequestAssigned(Event, frozen=True, kw_only=True, omit_defaults=True):
    """Which version answers a request, and which ones predict in shadow. `control` is the digest of what held."""

    request: PredictionRequested
    unit: Unit
    variant: Text
    version: Text
    experiment: str | None = None
    shadows: tuple[Arm, ...] = ()
    control: Text
    wait_s: int = 86_400
    grace_s: int = 60


class ShadowPrediction(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """What a variant in shadow would have answered; no values where it failed."""

    variant: Text
    version: Text
    values: tuple[float, ...] = ()
    error: str | None = None


class PredictionMade(Event, frozen=True, kw_only=True, omit_defaults=True):
    """The exposure: what was answered, by whom, with the shadows' answers beside it. Steps run along the lists.

    `values` are in the unit of the model's target, `confidence` is the probability that the direction is right.
    With `error`, there is no answer.
    """

    request_id: Request
    model: Model
    unit: Unit
    variant: Text
    version: Text
    experiment: str | None = None
    clusters: tuple[Text, ...] = ()
    target_times: tuple[Time, ...] = ()
    values: tuple[float, ...] = ()
    confidence: tuple[float, ...] = ()
    prices: tuple[float, ...] | None = None
    intervals: tuple[tuple[float, float], ...] | None = None
    shadows: tuple[ShadowPrediction, ...] = ()
    error: str | None = None
    control: str = ""
    wait_s: int = 86_400
    grace_s: int = 60


class ShadowValue(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A shadow's value beside a scored prediction; None where it failed."""

    variant: Text
    version: Text
    value: float | None = None


class PredictionScored(Event, frozen=True, kw_only=True, omit_defaults=True):
    """A prediction and its outcome. `delay_ms` is the greater delay of the two: how far they stood behind the ticks.

    Of several outcomes of one prediction the earliest counts, by `outcome_time` and `outcome_id`. `control` is the
    digest of what held when the request was assigned; empty where the unit is not the request itself. `predicted_time`
    is the prediction's own event time; `confidence` and `interval` are what it said of this step.
    """

    request_id: Request
    model: Model
    variant: Text
    version: Text
    cluster: Text
    step: Step
    value: float
    outcome: float
    outcome_id: Text
    outcome_time: Time | None = None
    delay_ms: int
    response_time_ms: float | None = None
    experiment: str | None = None
    control: str = ""
    shadows: tuple[ShadowValue, ...] = ()
    predicted_time: Time | None = None
    confidence: float | None = None
    interval: tuple[float, float] | None = None


class MetricAttributed(Event, frozen=True, kw_only=True, omit_defaults=True):
    """A MetricObserved and the prediction that it counts for: that of its request, or the last one of its unit before.

    `delay_ms` is the greater delay of the two. `control` is the digest of what held when the request was assigned.
    """

    name: Text
    value: float
    model: Model
    request_id: Request
    unit: Unit
    variant: Text
    version: Text
    experiment: str | None = None
    control: str = ""
    predicted_time: Time
    delay_ms: int
