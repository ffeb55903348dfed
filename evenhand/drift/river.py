"""river's detectors behind our interface: their state is taken out as plain JSON, and put back before each batch.

Bindings alone; the algorithms are river's (BSD-3-Clause). Each learns what is normal from the stream itself.
"""

from base64 import b64decode, b64encode
from collections import deque
from typing import Any, ClassVar

import numpy as np

from evenhand.drift.base import Detector, Finding, State, Verdict, numbers


class Learned(State, frozen=True, kw_only=True):
    """What river's object holds, by attribute; infinities are text, since JSON has none."""

    core: dict[str, Any]


class RiverDetector(Detector[Learned], frozen=True, kw_only=True):
    """Common to the seven. Events are looked at one by one, at 0.2 us (ADWIN) to 340 us (KSWIN) each."""

    needs_reference: ClassVar[bool] = False
    state: ClassVar[type[State]] = Learned
    cause: ClassVar[str] = "mean"

    def build(self) -> Any:
        """A fresh object of river's."""
        raise TypeError(f"{type(self).__name__} builds nothing")

    def measure(self, core: Any) -> tuple[float, float]:
        """Statistic and threshold, where river shows them; else 0 or 1 against 1."""
        return float(core.drift_detected), 1.0

    def start(self, reference: Any = None) -> Learned:
        state = Learned(core=_taken_out(self.build()))
        return state if reference is None else self.update(state, reference)

    def update(self, state: Learned, batch: Any) -> Learned:
        values = numbers(batch).tolist()
        if state.alarm_at is not None or not values:
            return state
        core = self._core(state)
        seen, alarm_at = state.seen, None
        for value in values:
            core.update(value)
            seen += 1
            if core.drift_detected:
                alarm_at = seen
                break
        return Learned(seen=seen, alarm_at=alarm_at, core=_taken_out(core))

    def verdict(self, state: Learned) -> Verdict:
        statistic, threshold = self.measure(self._core(state))
        drifted = state.alarm_at is not None
        return Verdict(
            drifted=drifted, statistic=statistic, threshold=threshold, seen=state.seen, alarm_at=state.alarm_at,
            findings=(Finding(cause=self.cause, statistic=statistic),) if drifted else (),
        )  # fmt: skip

    def _core(self, state: Learned) -> Any:
        core = self.build()
        _put_back(core, state.core)
        return core


_NOT_STATE = {"_rng", "_test_drift"}


def _taken_out(thing: Any) -> dict[str, Any]:
    return {name: _plain(value) for name, value in vars(thing).items() if name not in _NOT_STATE}


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return float(value) if np.isfinite(value) else str(float(value))
    if isinstance(value, deque):
        return [_plain(item) for item in value]
    if hasattr(value, "__dict__"):
        return _taken_out(value)
    return b64encode(value.__getstate__()).decode()  # Rust


def _put_back(thing: Any, values: dict[str, Any]) -> None:
    for name, value in values.items():
        fresh = getattr(thing, name)
        if isinstance(value, dict):
            _put_back(fresh, value)
        elif isinstance(fresh, deque):
            fresh.clear()
            fresh.extend(value)
        elif value in {"inf", "-inf", "nan"}:
            setattr(thing, name, float(value))
        elif isinstance(value, str) and not isinstance(fresh, str):
            fresh.__setstate__(b64decode(value))
        else:
            setattr(thing, name, value)
