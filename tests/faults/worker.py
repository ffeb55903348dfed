"""`agents.app` with the signs of life that `evenhand worker` gives: run by `faust -A tests.faults.worker worker`."""

import os

from adapters.beat import Beat, first_beat, keep_beating
from agents.app import app, home

__all__ = ["app"]


def look(beat: Beat) -> None:
    beat.generation = app.membership.generation
    beat.partitions = sorted({place.partition for place in app.membership.assigned})


if name := os.environ.get("WORKER_NAME"):
    keep_beating(home(), first_beat("worker", name), look)
