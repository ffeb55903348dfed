"""Every event that travels through Kafka, as frozen Structs with constraints: the one source of `schemas/`.

All times are event time in integer milliseconds UTC. Names carry their unit. Fields may be added if they are
optional; none may change its meaning.
"""

from evenhand.events.alerts import Alert, AlertFired, AlertResolved, AlertRouted
from evenhand.events.dead_letters import DeadLettered
from evenhand.events.decisions import Action, DecisionMade, PosteriorUpdated, RolloutChanged, VariantPosterior
from evenhand.events.drift import DriftCleared, DriftDetected, DriftFinding, Drifting, DriftJudged
from evenhand.events.event import (
    FIRST_MS,
    LAST_MS,
    MAX_HORIZON,
    Event,
    Feature,
    Features,
    Id,
    Key,
    Model,
    Request,
    Step,
    Text,
    Time,
    Unit,
)
from evenhand.events.evidence import CoMoments, EvidenceReported, Moments, Phase, VariantEvidence
from evenhand.events.in_band import ControlChanged, Ticked
from evenhand.events.measurements import EpochMeasured, MetricReported, SampledRow, Sums, VersionMeasured
from evenhand.events.predictions import (
    Arm,
    MetricAttributed,
    PredictionMade,
    PredictionScored,
    RequestAssigned,
    ShadowPrediction,
    ShadowValue,
)
from evenhand.events.service_levels import ComplianceReported, Level, ServiceLevelReported
from evenhand.events.told import CommandGiven, MetricObserved, OutcomeObserved, PredictionRequested, Served
from evenhand.events.training import ModelRegistered, RetrainingRequested, TrainingFailed

__all__ = [
    "FIRST_MS", "LAST_MS", "MAX_HORIZON", "Action", "Alert", "AlertFired", "AlertResolved", "AlertRouted",
    "Arm", "CoMoments", "CommandGiven", "ComplianceReported", "ControlChanged", "DeadLettered", "DecisionMade",
    "DriftCleared", "DriftDetected", "DriftFinding", "DriftJudged", "Drifting", "EpochMeasured", "Event",
    "EvidenceReported", "Feature", "Features", "Id", "Key", "Level", "MetricAttributed", "MetricObserved",
    "MetricReported", "Model", "ModelRegistered", "Moments", "OutcomeObserved", "Phase", "PosteriorUpdated",
    "PredictionMade", "PredictionRequested", "PredictionScored", "Request", "RequestAssigned",
    "RetrainingRequested", "RolloutChanged", "SampledRow", "Served", "ServiceLevelReported", "ShadowPrediction",
    "ShadowValue", "Step", "Sums", "Text", "Ticked", "Time", "TrainingFailed", "Unit", "VariantEvidence",
    "VariantPosterior", "VersionMeasured",
]  # fmt: skip
