"""What users write: requests, outcomes, metrics and commands."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from evenhand.events.event import Event, Features, Model, Request, Step, Text, Time, Unit, check_size
from evenhand.experiments.experiment import Experiment
from evenhand.monitoring import Monitoring


class PredictionRequested(Event, frozen=True, kw_only=True, omit_defaults=True):
    """Somebody wants a prediction of the served `model` for `key`.

    `features` is a list in the model's feature order, or name to value. `unit` is who is assigned to a variant
    (default: the request itself). `horizon` counts steps.
    """

    model: Model
    features: Features
    unit: Unit | None = None
    horizon: Step = 1


class OutcomeObserved(Event, frozen=True, kw_only=True, omit_defaults=True):
    """The truth, in the unit of the model's target.

    It answers the request `request_id` (`step` picks one of several, default the first), or, by `target_time`, every
    prediction of its key for that time.
    """

    value: float
    request_id: Request | None = None
    step: Step | None = None
    target_time: Time | None = None

    def __post_init__(self) -> None:
        if (self.request_id is None) == (self.target_time is None):
            raise ValueError("give either request_id or target_time")
        if self.step is not None and self.request_id is None:
            raise ValueError("step goes with request_id")
        check_size(self.value)


class MetricObserved(Event, frozen=True, kw_only=True, omit_defaults=True):
    """Any guardrail or business metric, of a unit or a request."""

    name: Text
    value: float
    model: Model | None = None
    unit: Unit | None = None
    request_id: Request | None = None

    def __post_init__(self) -> None:
        check_size(self.value)


class Served(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """What a served model is configured to do: the answer of `commands.v1` to the file `config/`.

    `champion` is the version that serves outside experiments. An outcome may take `wait_s` seconds. Without
    `monitoring` there are reports once a minute, and drift is not looked for.
    """

    champion: Text
    wait_s: Annotated[int, Meta(ge=1)] = 86_400
    experiment: Experiment | None = None
    monitoring: Monitoring | None = None


class CommandGiven(Event, frozen=True, kw_only=True, omit_defaults=True):
    """Somebody's wish about a model: apply a configuration, start or stop an experiment, approve, silence, ...

    `subject` is what it is about: an experiment, an incident. A silence has the labels that it `matches`, and an end.
    `change_weights` gives the `weights` of an experiment's variants; `drop_variant` ends one of its challengers, the
    `variant`, and moves nobody else.
    """

    model: Model
    command: Literal[
        "apply_configuration", "start_experiment", "stop_experiment", "acknowledge", "silence", "approve", "refuse",
        "change_weights", "drop_variant",
    ]  # fmt: skip
    by: Text
    reason: str = ""
    served: Served | None = None
    experiment: Experiment | None = None
    subject: Text | None = None
    digest: Text | None = None
    matches: dict[str, str] | None = None
    until: Time | None = None
    weights: dict[str, Annotated[int, Meta(ge=0, le=1_000_000)]] | None = None
    variant: Text | None = None
