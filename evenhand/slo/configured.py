"""The objectives that a deployment declares in `config/slo.yaml`."""

import difflib

import msgspec

from evenhand.config import load_yaml_strict
from evenhand.errors import InvalidConfiguration
from evenhand.slo.indicator import OF_EVENTS
from evenhand.slo.objective import Objective

UNITS = {
    **{f"response_time_p{share}_ms": "ms" for share in (50, 95, 99)},
    **{f"label_delay_p{share}_s": "s" for share in (50, 95, 99)},
    **OF_EVENTS,
    "missing_label_fraction": "fraction",
    "interval_coverage": "fraction",
    "calibration_error": "fraction",
    "drift_score": "fraction",
    "throughput_per_s": "1/s",
    "rmse": "target",
    "cpu_percent": "%",
    "memory_percent": "%",
    "disk_percent": "%",
}
"""Metrics that are always there, with their units; readings that users report have any name and unit."""


class Objectives(msgspec.Struct, frozen=True):
    """The whole file: `objectives` of every served model, and in their place those of `models`, by name."""

    objectives: tuple[Objective, ...] = ()
    models: dict[str, tuple[Objective, ...]] = {}

    def of(self, model: str) -> tuple[Objective, ...]:
        """The objectives of a served model."""
        return self.models.get(model, self.objectives)


def read_objectives(text: str, where: str = "slo.yaml") -> Objectives:
    """Objectives from the text of the file; InvalidConfiguration names what to change.

    >>> text = "objectives: [{name: e, metric: error_fractoin, comparison: <, threshold: 0.01, unit: fraction}]"
    >>> read_objectives(text)
    Traceback (most recent call last):
    evenhand.errors.InvalidConfiguration: slo.yaml: e: metric error_fractoin is unknown, did you mean error_fraction?
    """
    found = load_yaml_strict(text, Objectives, where)
    for each in (found.objectives, *found.models.values()):
        names = [objective.name for objective in each]
        if doubled := sorted({name for name in names if names.count(name) > 1}):
            raise InvalidConfiguration(f"{where}: two objectives are named {doubled[0]!r}: rename one")
        for objective in each:
            check_metric(objective.metric, objective.unit, f"{where}: {objective.name}")
            if objective.of == "events" and objective.metric not in OF_EVENTS:
                raise InvalidConfiguration(
                    f"{where}: {objective.name}: single events of {objective.metric} cannot be counted, only of "
                    f"{', '.join(OF_EVENTS)}: leave out `of`, and epochs are counted"
                )
            if objective.of == "epochs" and objective.metric == "response_time_ms":
                raise InvalidConfiguration(
                    f"{where}: {objective.name}: an epoch has response_time_p50_ms, _p95_ms and _p99_ms: name one, or "
                    "write `of: events`"
                )
    return found


def check_metric(metric: str, unit: str, where: str) -> None:
    """Raise InvalidConfiguration for a misspelt metric, or one in another unit than it is measured in."""
    known = UNITS.get(metric)
    if known is None:
        close = difflib.get_close_matches(metric, UNITS, 1, cutoff=0.8)
        if close:
            raise InvalidConfiguration(f"{where}: metric {metric} is unknown, did you mean {close[0]}?")
    elif known not in {unit, "target"}:
        raise InvalidConfiguration(f"{where}: {metric} is measured in {known}, not in {unit}: write it in {known}")
