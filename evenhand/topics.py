"""Every topic: what it carries, its key, who writes and reads it, and how long it stays."""

import msgspec

from evenhand import events as e

PARTITIONS = 8
DAY_MS = 86_400_000
FOR_EVER = -1

REQUESTS = "prediction-requests.v1"
OUTCOMES = "outcomes.v1"
METRICS = "metrics.v1"
COMMANDS = "commands.v1"
ASSIGNMENTS = "assignments.v1"
PREDICTIONS = "predictions.v1"
OBSERVATIONS = "observations.v1"
SCORED = "scored-predictions.v1"
EVIDENCE = "evidence.v1"
MEASUREMENTS = "measurements.v1"
REPORTS = "reports.v1"
POSTERIORS = "posteriors.v1"
DECISIONS = "decisions.v1"
DRIFT_SIGNALS = "drift-signals.v1"
SERVICE_LEVELS = "service-levels.v1"
ROLLOUTS = "rollouts.v1"
ALERTS = "alerts.v1"
NOTIFICATIONS = "notifications.v1"
RETRAINING_REQUESTS = "retraining-requests.v1"
MODELS = "models.v1"
DEAD_LETTERS = "dead-letters.v1"

STATEFUL = (
    "assignment", "intake", "inference", "attribution", "evidence", "posterior", "control", "measurement", "reports",
    "drift", "slo", "alerting",
)  # fmt: skip


class Topic(msgspec.Struct, frozen=True, kw_only=True):
    """A topic's contract. `retention_ms` of -1 keeps it for ever; `compacted` topics hold an agent's state."""

    name: str
    events: tuple[type[e.Event], ...] = ()
    key: str = "key"
    written_by: tuple[str, ...] = ()
    read_by: tuple[str, ...] = ()
    ticks: bool = False
    retention_ms: int = 30 * DAY_MS
    compacted: bool = False
    partitions: int = PARTITIONS
    description: str = ""


USERS = ("users", "gateway")
IN_BAND = (e.Ticked, e.ControlChanged)
_ALL = (
    Topic(
        name=REQUESTS, events=(e.PredictionRequested, *IN_BAND), key="any", written_by=(*USERS, "clock", "control"),
        read_by=("assignment",), ticks=True, description="Who wants a prediction of what.",
    ),
    Topic(
        name=OUTCOMES, events=(e.OutcomeObserved, e.Ticked), key="any", written_by=(*USERS, "clock"),
        read_by=("intake",), ticks=True, description="The truth, as it becomes known.",
    ),
    Topic(
        name=METRICS, events=(e.MetricObserved, e.Ticked), key="any", written_by=(*USERS, "clock"),
        read_by=("intake",), ticks=True, description="Guardrail and business metrics.",
    ),
    Topic(
        name=COMMANDS, events=(e.CommandGiven,), key="model", written_by=("CLI", *USERS),
        read_by=("control", "alerting"),
        retention_ms=FOR_EVER, description="Who wished what about a model, and when.",
    ),
    Topic(
        name=ASSIGNMENTS, events=(e.RequestAssigned, *IN_BAND), written_by=("assignment",),
        read_by=("inference", "your own model server", "measurement"), ticks=True,
        description="Which versions answer a request.",
    ),
    Topic(
        name=PREDICTIONS, events=(e.PredictionMade, *IN_BAND), written_by=("inference", "your own model server"),
        read_by=("attribution", "evidence", "measurement", "gateway"), ticks=True,
        description="Exposures: what was answered.",
    ),
    Topic(
        name=OBSERVATIONS, events=(e.OutcomeObserved, e.MetricObserved, e.Ticked), written_by=("intake",),
        read_by=("attribution", "measurement"), ticks=True,
        description="Outcomes and metrics, checked, where their key belongs.",
    ),
    Topic(
        name=SCORED, events=(e.PredictionScored, e.MetricAttributed, *IN_BAND), written_by=("attribution",),
        read_by=("evidence", "measurement"), ticks=True,
        description="Predictions with their outcomes and users' metrics.",
    ),
    Topic(
        name=EVIDENCE, events=(e.EvidenceReported,), key="model", written_by=("evidence",), read_by=("posterior",),
        description="One partition's sums for one subject and epoch.",
    ),
    Topic(
        name=MEASUREMENTS, events=(e.EpochMeasured,), key="model", written_by=("measurement",),
        read_by=("reports", "drift", "slo"), description="One partition's measurements of one model and epoch.",
    ),
    Topic(
        name=REPORTS, events=(e.MetricReported,), key="model", written_by=("reports", "drift"),
        read_by=("slo",),
        description="Merged metrics.",
    ),
    Topic(
        name=POSTERIORS, events=(e.PosteriorUpdated,), key="model", written_by=("posterior",),
        description="What is believed of each variant.",
    ),
    Topic(
        name=DECISIONS, events=(e.DecisionMade,), key="model", written_by=("posterior",),
        read_by=("control", "alerting"), retention_ms=FOR_EVER, description="What was decided, and why.",
    ),
    Topic(
        name=DRIFT_SIGNALS, events=(e.DriftDetected, e.DriftCleared, e.DriftJudged), key="model", written_by=("drift",),
        read_by=("alerting",), description="Drift detectors' alarms, and how far drift is judged.",
    ),
    Topic(
        name=SERVICE_LEVELS, events=(e.ServiceLevelReported, e.ComplianceReported), key="model", written_by=("slo",),
        read_by=("alerting",), description="Objectives, error budgets and burn rates, epoch by epoch; compliance.",
    ),
    Topic(
        name=ROLLOUTS, events=(e.RolloutChanged,), key="model", written_by=("rollout",), retention_ms=FOR_EVER,
        description="Weights and versions of rollouts.",
    ),
    Topic(
        name=ALERTS, events=(e.AlertFired, e.AlertResolved), key="fingerprint", written_by=("alerting",),
        description="Alerts in Alertmanager's shape.",
    ),
    Topic(
        name=NOTIFICATIONS, events=(e.AlertRouted,), key="model", written_by=("alerting",), read_by=("notifier",),
        description="Alerts that channels are to be told of.",
    ),
    Topic(
        name=RETRAINING_REQUESTS, events=(e.RetrainingRequested,), key="model", written_by=("retraining",),
        description="Models to be trained again.",
    ),
    Topic(
        name=MODELS, events=(e.ModelRegistered, e.TrainingFailed), key="model", written_by=("trainer",),
        retention_ms=FOR_EVER, description="Versions that exist.",
    ),
    Topic(
        name=DEAD_LETTERS, events=(e.DeadLettered,),
        written_by=("assignment", "intake", "control", "attribution", "notifier"),
        description="Records that could not be taken, each with its reason.",
    ),
)  # fmt: skip

TOPICS: dict[str, Topic] = {topic.name: topic for topic in _ALL}


def state_topic(agent: str) -> Topic:
    """The compacted topic that holds the rows of an agent.

    >>> state_topic("attribution").name
    'evenhand.attribution.state.v1'
    """
    return Topic(
        name=f"evenhand.{agent}.state.v1", key="row", written_by=(agent,), read_by=(agent,), compacted=True,
        description=f"Rows of {agent}.",
    )  # fmt: skip


WATCHED = frozenset({MEASUREMENTS, REPORTS, SERVICE_LEVELS, ALERTS, NOTIFICATIONS})


def every_topic(retention_days: int | None = None) -> tuple[Topic, ...]:
    """All topics, the agents' state included: what must exist before a worker starts.

    `retention_days` is of reports, service levels and alerts.

    >>> {topic.retention_ms // DAY_MS for topic in every_topic(7) if topic.name in WATCHED}
    {7}
    """
    kept = retention_days and retention_days * DAY_MS
    every = (
        msgspec.structs.replace(topic, retention_ms=kept) if kept and topic.name in WATCHED else topic for topic in _ALL
    )
    return (*every, *(state_topic(agent) for agent in STATEFUL))
