"""Versions that are wanted, made, or failed."""

from evenhand.events.event import Event, Model, Text


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
