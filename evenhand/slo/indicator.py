"""What an epoch counts for an objective: good and bad epochs, or good and bad events."""

import math
from collections.abc import Mapping

from evenhand.metrics.accuracy import Accuracy
from evenhand.metrics.error_fraction import ErrorFraction
from evenhand.metrics.response_time import ResponseTime
from evenhand.metrics.sketch import Sketch
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
