"""Rows and targets out of the loop's own log: what was asked, and what came of it.

Requests that share their outcomes (those of one key within one step, where targets are aligned) are one row, the first
of them: twenty requests in an hour have seen one market, not twenty.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np

from evenhand.events import PredictionRequested, PredictionScored
from evenhand.processors.inference import feature_row
from evenhand.training.examples import FloatArray


class Asked(NamedTuple):
    """What a version must be asked with: its features in order, how many steps it answers, how long each is."""

    features: tuple[str, ...]
    steps: int
    horizon_ms: int
    aligned: bool


class Matured(NamedTuple):
    """Rows (n, features) in order of time, and their targets (n, steps), NaN where none has matured."""

    rows: FloatArray
    targets: FloatArray
    outcomes: int


def matured(requests: Mapping[str, PredictionRequested], scored: Iterable[PredictionScored], asked: Asked) -> Matured:
    """Join requests, by id, and what was scored. Requests whose features are not those of the version are left out."""
    found: dict[tuple[int, str, str], dict[int, PredictionScored]] = {}
    for one in scored:
        request = requests.get(one.request_id)
        if request is None or one.step > asked.steps:
            continue
        moment = request.time // asked.horizon_ms if asked.aligned else request.time
        row = found.setdefault((moment, request.key, "" if asked.aligned else request.id), {})
        before = row.get(one.step)
        if before is None or _place(requests, one) < _place(requests, before):
            row[one.step] = one
    rows, targets, outcomes = [], [], 0
    for _, answers in sorted(found.items()):
        first = min(answers.values(), key=lambda one: _place(requests, one))
        try:
            rows.append(feature_row(requests[first.request_id].features, asked.features))
        except ValueError:
            continue
        targets.append([answers[step].outcome if step in answers else np.nan for step in range(1, asked.steps + 1)])
        outcomes += len(answers)
    width = len(asked.features)
    return Matured(
        np.array(rows, dtype=np.float64).reshape(-1, width),
        np.array(targets, dtype=np.float64).reshape(-1, asked.steps),
        outcomes,
    )


def _place(requests: Mapping[str, PredictionRequested], scored: PredictionScored) -> tuple[int, str]:
    return requests[scored.request_id].time, scored.request_id
