"""Assignments to predictions, by the versions in the model store."""

import os
from pathlib import Path

from adapters import clock
from adapters.kafka.running import run
from adapters.response_times import recorded
from agents.app import app, home
from evenhand.processors.base import Processor
from evenhand.processors.inference import Inference
from models.store import ModelStore

store = ModelStore(home() / "models")
_recording = os.environ.get("EVENHAND_RESPONSE_TIMES")
response_times = recorded(Path(_recording)) if _recording else None


def make(partition: int, partitions: int) -> Processor:
    """Inference of one partition."""
    return Inference(partition, partitions, store, clock.now_ms, response_times)


@app.on_worker_init.connect
def warm(*_: object, **__: object) -> None:
    """Before the worker takes part in anything."""
    store.warm()


state = run(app, make, name=Inference.name, reads=Inference.reads)
