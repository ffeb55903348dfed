"""Measurements of all partitions to alarms of drift, against the training samples in the model store."""

from adapters.kafka.running import run
from agents.app import app, home
from evenhand.processors.base import Processor
from evenhand.processors.drift import Drift
from models.store import ModelStore

store = ModelStore(home() / "models")


def make(partition: int, partitions: int) -> Processor:
    """The judge of drift of one partition."""
    return Drift(partition, partitions, store)


state = run(app, make, name=Drift.name, reads=Drift.reads)
