"""What an epoch counts for an objective: good and bad epochs, or good and bad events."""

import math
from collections.abc import Mapping

from evenhand.metrics.accuracy import Accuracy
from evenhand.metrics.error_fraction import ErrorFraction
from evenhand.metrics.response_time import ResponseTime
from evenhand.metrics.sketch import Sketch
from evenhand.metrics.throughput import Throughput
from evenhand.slo.objective import Objective

Sketches = Mapping[str, Sketch]
OF_EVENTS = {"error_fraction": "fraction", "accuracy": "fraction", "response_time_ms": "ms"}
"""Metrics whose single events can be counted, with their units."""


def good_and_bad(objective: Objective, values: Mapping[str, float], sketches: Sketches) -> tuple[int, int]:
    """Good and bad of an epoch; (0, 0) without data. A response time counts as bad from its bucket (2 %) on."""
    if objective.of == "epochs":
        state = objective.judge(values.get(objective.metric))
        return int(state == "met"), int(state == "violated")
    if objective.metric == "error_fraction":
        errors = sketches.get(ErrorFraction.kind)
        return (errors.requests - errors.errors, errors.errors) if isinstance(errors, ErrorFraction) else (0, 0)
    if objective.metric == "accuracy":
        accuracy = sketches.get(Accuracy.kind)
        if not isinstance(accuracy, Accuracy):
            return 0, 0
        bad = math.floor(accuracy.n - accuracy.points)
        return accuracy.n - bad, bad
    times = sketches.get(ResponseTime.kind)
    if not isinstance(times, ResponseTime):
        return 0, 0
    bad = times.above(objective.threshold)
    return times.n - bad, bad


JUDGED = frozenset({
    "drift_score", "drift_score_inputs", "drift_score_predictions", "drift_score_losses",
    "predicted_loss", "early_warning", "estimate_trusted",
})  # fmt: skip
"""Metrics that other judges report (`reports.v1`); all others are measured."""


def values_of(sketches: Sketches, watched_ms: int = 0) -> dict[str, float]:
    """The metrics of an epoch or window that lasted so long. A reading `x` is its mean, `x_max` its largest.

    >>> values_of({"error_fraction": ErrorFraction(requests=4, errors=1)})
    {'error_fraction': 0.25}
    """
    found: dict[str, float] = {}
    for name, sketch in sorted(sketches.items()):
        reading = name.partition("/")[2]
        told = sketch.add(0, watched_ms) if isinstance(sketch, Throughput) else sketch
        for what, value in told.values().items():
            found[what if not reading else reading if what == "mean" else f"{reading}_{what}"] = value
    return found


def counts_of(sketches: Sketches) -> dict[str, int]:
    """How many requests, errors and matured predictions there were."""
    errors, accuracy = sketches.get(ErrorFraction.kind), sketches.get(Accuracy.kind)
    found: dict[str, int] = {}
    if isinstance(errors, ErrorFraction):
        found |= {"requests": errors.requests, "errors": errors.errors}
    if isinstance(accuracy, Accuracy):
        found["matured"] = accuracy.n
    return found
