"""Drift detectors, one a file: adding a file adds a detector. A file is loaded when its detector is asked for."""

from importlib import import_module
from pkgutil import iter_modules
from typing import Any

import msgspec

from evenhand.drift.base import REGISTRY, Detector, Finding, State, Verdict
from evenhand.errors import InvalidConfiguration

# What the family shares; every other file of this folder is a detector.
_SHARED = {
    "base", "betting", "book", "calibrate", "configured", "early_warning", "estimator", "evidence", "line", "lowest",
    "panel", "reference", "river", "sample", "signals", "thinning", "watch", "wealth", "window",
}  # fmt: skip


def kinds() -> list[str]:
    """The names of all detectors.

    >>> "rank_legendre" in kinds()
    True
    """
    return sorted(module.name for module in iter_modules(__path__) if module.name not in _SHARED)


def detector(kind: str, parameters: dict[str, Any] | None = None) -> Detector[Any]:
    """A detector by name, from parameters as YAML or JSON gives them; InvalidConfiguration says what is wrong.

    >>> detector("rank_legendre", {"false_alarms_per_100k": 0.5}).false_alarms_per_100k
    0.5
    """
    if kind not in kinds():
        raise InvalidConfiguration(f"no drift detector is named {kind!r}: these are {', '.join(kinds())}")
    import_module(f"{__name__}.{kind}")
    try:
        found: Detector[Any] = msgspec.convert(parameters or {}, REGISTRY[kind])
    except msgspec.ValidationError as error:
        raise InvalidConfiguration(f"{kind}: {error}") from None
    return found


__all__ = ["Detector", "Finding", "State", "Verdict", "detector", "kinds"]
