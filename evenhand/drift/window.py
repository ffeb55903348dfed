"""Tests of a window against a reference: what dashboards show. A window that is too short makes them mean nothing."""

from typing import Annotated, Any, ClassVar

import numpy as np
from msgspec import Meta

from evenhand.drift.base import Detector, Finding, Floats, State, Takes, Verdict, enough, numbers

LEAST_WINDOW = 500  # PSI > 0.1 fires on 41 % of windows of 100 without any drift, on none of 500


class Windowed(State, frozen=True, kw_only=True):
    """The reference, the events of the window that is being filled, and the score of the last full one."""

    reference: tuple[float, ...]
    pending: tuple[float, ...] = ()
    score: float = 0.0


class WindowTest(Detector[Windowed], frozen=True, kw_only=True):
    """Windows of `window` events, one after the other; drift where a window's score exceeds `max_score`."""

    takes: ClassVar[Takes] = "numbers"
    needs_reference: ClassVar[bool] = True
    state: ClassVar[type[State]] = Windowed

    window: Annotated[int, Meta(ge=LEAST_WINDOW)] = 1000
    max_score: Annotated[float, Meta(gt=0)] = 0.1

    def score(self, reference: Floats, window: Floats) -> float:
        """How different a window is; 0 for the same."""
        raise TypeError(f"{type(self).__name__} defines no score")

    def limit(self, state: Windowed) -> float:
        """Above which score there is drift."""
        return self.max_score

    def start(self, reference: Any = None) -> Windowed:
        return Windowed(reference=tuple(numbers(enough(reference, LEAST_WINDOW, self.kind)).tolist()))

    def update(self, state: Windowed, batch: Any) -> Windowed:
        values = numbers(batch)
        if state.alarm_at is not None or len(values) == 0:
            return state
        reference = np.array(state.reference)
        filled = np.concatenate([np.array(state.pending, np.float64), values])
        score, done = state.score, 0
        while len(filled) - done >= self.window:
            score = self.score(reference, filled[done : done + self.window])
            done += self.window
            if score > self.limit(state):
                at = state.seen + done - len(state.pending)
                return Windowed(seen=at, alarm_at=at, reference=state.reference, score=score)
        return Windowed(
            seen=state.seen + len(values), reference=state.reference, pending=tuple(filled[done:].tolist()), score=score
        )

    def verdict(self, state: Windowed) -> Verdict:
        drifted = state.alarm_at is not None
        finding = Finding(cause="distribution", statistic=state.score, effect_size=state.score, events_ago=self.window)
        return Verdict(
            drifted=drifted, statistic=state.score, threshold=self.limit(state), seen=state.seen,
            alarm_at=state.alarm_at, findings=(finding,) if drifted else (),
        )  # fmt: skip


def shares(reference: Floats, window: Floats, bins: int) -> tuple[Floats, Floats]:
    """Shares of both in quantile bins of the reference; half an event is added to each bin, so that none is empty."""
    edges = np.unique(np.quantile(reference, np.arange(1, bins) / bins))
    counts = [np.bincount(np.searchsorted(edges, one), minlength=len(edges) + 1) + 0.5 for one in (reference, window)]
    first, second = (count / count.sum() for count in counts)
    return first, second
