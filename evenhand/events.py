"""Every event that travels through Kafka, as frozen Structs with constraints: the one source of `schemas/`.

All times are event time in integer milliseconds UTC. Names carry their unit. Fields may be added if they are
optional; none may change its meaning.
"""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from evenhand.alerts.policy import AlertPolicy
from evenhand.experiments.experiment import Experiment
from evenhand.monitoring import Monitoring

FIRST_MS, LAST_MS = 946_684_800_000, 4_102_444_800_000  # 2000 to 2100: seconds and microseconds fall outside
MAX_HORIZON = 64

Time = Annotated[int, Meta(ge=FIRST_MS, le=LAST_MS, description="event time, milliseconds UTC")]
Text = Annotated[str, Meta(min_length=1, max_length=256)]
Id = Annotated[Text, Meta(description="names the event; a record with the same id is a repeat")]
Model = Annotated[Text, Meta(description="served model: an endpoint, whatever versions answer for it")]
Request = Annotated[Text, Meta(description="id of a PredictionRequested")]
Unit = Annotated[Text, Meta(description="who is assigned to a variant: a user, a session; default: the request")]
Key = Annotated[str, Meta(min_length=1, max_length=256, description="series or entity; decides the partition")]
Step = Annotated[int, Meta(ge=1, le=MAX_HORIZON)]
Feature = Annotated[str, Meta(min_length=1, max_length=128)]
Features = (
    Annotated[list[float], Meta(min_length=1, max_length=4096)]
    | Annotated[dict[Feature, float], Meta(min_length=1, max_length=4096)]
)


class Event(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, tag_field="type", tag=True):
    """What every event has: `type` (its class name), `id`, `time`, `key`."""

    id: Id
    time: Time
    key: Key


# What users write


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


class MetricObserved(Event, frozen=True, kw_only=True, omit_defaults=True):
    """Any guardrail or business metric, of a unit or a request."""

    name: Text
    value: float
    model: Model | None = None
    unit: Unit | None = None
    request_id: Request | None = None


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


# In band: ticks and controls


class Ticked(Event, frozen=True, kw_only=True, omit_defaults=True):
    """Event time has reached `time`. `source` is the partition, or the agent, that says so."""

    source: str = ""


class ControlChanged(Event, frozen=True, kw_only=True, omit_defaults=True):
    """From its place in the log on, `served` holds for `model`.

    `ended` names the experiment that this control ends, and `cause` the command or decision that led to it.
    """

    model: Model
    served: Served
    digest: Text
    cause: Text
    ended: str | None = None
    reason: str = ""
    source: str = ""


# What the loop writes


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


class Level(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """One objective after an epoch: what the epoch counted, and how fast its error budget is spent.

    `state` is of the epoch, `burn` of the windows: no data is a state of both. `spent` is the share of the budget of
    `window_days` that is used up, `rate` how many times too fast, `probability` of that where few events say so.
    """

    state: Literal["met", "violated", "no_data"]
    burn: Literal["ok", "burning", "no_data"]
    good: int = 0
    bad: int = 0
    severity: Literal["page", "ticket"] | None = None
    rate: float | None = None
    factor: float | None = None
    probability: float | None = None
    spent: float | None = None


class ServiceLevelReported(Event, frozen=True, kw_only=True, omit_defaults=True):
    """A model's service levels after an epoch, over all its partitions and versions that served.

    `values` are of the epoch, none where nothing was measured; `windows` of longer ones that rules ask for, by their
    seconds. `alerts` is what holds from here on; it comes with the first report under it. With `judged`, it is of what
    another judge reported of the epoch, such as a drift score, and of nothing else.
    """

    model: Model
    subject: Text
    epoch: int
    epoch_s: int
    values: dict[str, float] = {}
    counts: dict[str, int] = {}
    windows: dict[str, dict[str, float]] = {}
    levels: dict[str, Level] = {}
    alerts: AlertPolicy | None = None
    evidence_digest: str = ""
    judged: bool = False


class ComplianceReported(Event, frozen=True, kw_only=True, omit_defaults=True):
    """Whether an objective was met in a day or month (UTC) that is over: `fraction` of good against `target`."""

    model: Model
    objective: Text
    per: Literal["day", "month"]
    period: Text
    good: int
    bad: int
    fraction: float
    target: float
    met: bool


class VariantPosterior(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """What is known of a challenger against the champion; differences in the unit of the success metric.

    `mean_difference` and all beside it are of the posterior, shrunken by its prior, and inform. `observed_difference`
    and `confidence_sequence` are of the sequential test: that one is valid at every look, and it alone stops.
    `clusters` counts blocks where the experiment has them, and so does `planned_clusters`, the planned end.
    `missing_fraction` of the outcomes that were due never came; with those at their worst the upper end of the
    confidence sequence is `worst_case_difference`.
    """

    clusters: int
    exposures: int
    mean_difference: float | None = None
    credible_interval: tuple[float, float] | None = None
    probability_better: float | None = None
    expected_loss: float | None = None
    relative_difference: float | None = None
    error_fraction: float | None = None
    probability_more_errors: float | None = None
    probability_best: float | None = None
    probability_equivalent: float | None = None
    expected_loss_of_champion: float | None = None
    relative_interval: tuple[float, float] | None = None
    observed_difference: float | None = None
    confidence_sequence: tuple[float, float] | None = None
    planned_clusters: int | None = None
    guardrails: dict[str, str] = {}
    missing_fraction: float | None = None
    worst_case_difference: float | None = None


class PosteriorUpdated(Event, frozen=True, kw_only=True, omit_defaults=True):
    """The posterior of an experiment after an epoch."""

    model: Model
    subject: Text
    epoch: int
    variants: dict[str, VariantPosterior]


Action = Literal["continue", "promote", "stop_harm", "stop_futility", "abort", "frozen", "no_data"]


class DecisionMade(Event, frozen=True, kw_only=True, omit_defaults=True):
    """What was decided after the epochs named, and why. The evidence's offsets stand in the record's headers.

    `weights` are those that a bandit gives the variants from here on: the propensities of what follows.
    """

    model: Model
    subject: Text
    epochs: tuple[int, int]
    action: Action
    reasons: tuple[str, ...]
    variant: str | None = None
    summary: dict[str, VariantPosterior] = {}
    configuration_digest: Text
    evidence_digest: Text
    weights: dict[str, int] | None = None


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


class RolloutChanged(Event, frozen=True, kw_only=True, omit_defaults=True):
    """Weights (percent, by version) of a rollout and why they changed."""

    model: Model
    rollout: Text
    weights: dict[str, int]
    state: Text
    reason: str
    cause: str = ""


class Alert(Event, frozen=True, kw_only=True, omit_defaults=True, tag=None):
    """Alertmanager's shape: anyone can subscribe."""

    status: Literal["firing", "resolved"]
    labels: dict[str, str]
    annotations: dict[str, str]
    startsAt: str  # noqa: N815 - Alertmanager's name
    endsAt: str = ""  # noqa: N815 - Alertmanager's name
    fingerprint: Text
    generatorURL: str = ""  # noqa: N815 - Alertmanager's name


class AlertFired(Alert, frozen=True, kw_only=True, omit_defaults=True, tag=True):
    """An alert began."""


class AlertResolved(Alert, frozen=True, kw_only=True, omit_defaults=True, tag=True):
    """An alert ended."""


class AlertRouted(Alert, frozen=True, kw_only=True, omit_defaults=True, tag=True):
    """An alert that channels are to be told of: why now, of which incident, and whom.

    Its `id` is the idempotency key of every delivery. `causes` are all alerts of the incident that fire.
    """

    channels: tuple[str, ...]
    why: Literal["told", "repeated", "resolved"]
    incident: Text
    causes: tuple[str, ...] = ()


class RetrainingRequested(Event, frozen=True, kw_only=True, omit_defaults=True):
    """A model shall be trained again, and the cause."""

    model: Model
    cause: Text
    reason: str


class ModelRegistered(Event, frozen=True, kw_only=True, omit_defaults=True):
    """A version exists, can be loaded, and is what its digest says."""

    model: Model
    version: Text
    kind: Text
    digest: Text
    metrics: dict[str, float] = {}


class TrainingFailed(Event, frozen=True, kw_only=True, omit_defaults=True):
    """A retraining job ended without a version."""

    model: Model
    cause: Text
    reason: str


class DeadLettered(Event, frozen=True, kw_only=True, omit_defaults=True):
    """A record that could not be taken: where it lies, why, how long it is, its digest and its first 64 KiB."""

    topic: Text
    partition: int
    offset: int
    reason: str
    length: int
    digest: Text
    payload: str = ""
    payload_base64: str = ""
