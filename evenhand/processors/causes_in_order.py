"""What may be worth an alert, in the order of event time, whichever topic is read first.

Service levels of measured epochs, those of drift scores, and drift's own signals each come in order. How far the first
two have come they say themselves, and drift says it by ticks, which tell of which epochs scores are to come back as a
service level. Up to the least of the three nothing more can come but a decision, and everything is due.
"""

from collections.abc import Iterable, Iterator

import msgspec

from evenhand.events import DecisionMade, DriftCleared, DriftDetected, DriftJudged, ServiceLevelReported
from evenhand.processors.base import Output

WAITING_ROW, REACHED_ROW = b"w/", b"h/"
Cause = ServiceLevelReported | DriftDetected | DriftCleared | DecisionMade
Order = tuple[int, int, int, str]


class Reached(msgspec.Struct):
    """How far a model's sources have come; `reported_ms` is the last epoch of which drift has reported scores."""

    levels_ms: int = -1
    scores_ms: int = -1
    drift_ms: int = -1
    reported_ms: int = -1
    due_ms: int = -1

    def watermark(self) -> int:
        """Up to where every source has come."""
        scores_ms = self.drift_ms if self.scores_ms >= self.reported_ms else self.scores_ms
        return min(self.levels_ms, self.drift_ms, scores_ms)


class Waiting(msgspec.Struct, frozen=True, array_like=True):
    """A cause, and its place in its topic."""

    offset: int
    cause: Cause

    @property
    def order(self) -> Order:
        """By time, at one time service levels before what they are to be heard with, and drift as it was told."""
        cause = self.cause
        if isinstance(cause, ServiceLevelReported):
            return cause.time, int(cause.judged), 0, cause.id
        return (cause.time, 3, 0, cause.id) if isinstance(cause, DecisionMade) else (cause.time, 2, self.offset, "")


class CausesInOrder:
    """Of the models of one partition, as state rows."""

    def __init__(self) -> None:
        self._waiting: dict[str, dict[str, Waiting]] = {}
        self._reached: dict[str, Reached] = {}
        self._stored: set[bytes] = set()
        self._touched: dict[str, None] = {}

    def load(self, rows: Iterable[tuple[bytes, bytes]]) -> None:
        """Take over rows; others than its own are passed over."""
        for key, value in rows:
            if key.startswith(WAITING_ROW):
                held = msgspec.json.decode(value, type=Waiting)
                self._waiting.setdefault(held.cause.model, {})[held.cause.id] = held
                self._stored.add(key)
            elif key.startswith(REACHED_ROW):
                self._reached[key.removeprefix(REACHED_ROW).decode()] = msgspec.json.decode(value, type=Reached)

    def rows(self) -> Iterator[tuple[bytes, bytes]]:
        """A row for each model, and for each cause that waits."""
        for model, reached in self._reached.items():
            yield REACHED_ROW + model.encode(), msgspec.json.encode(reached)
        for waiting in self._waiting.values():
            for name, held in waiting.items():
                yield WAITING_ROW + name.encode(), msgspec.json.encode(held)

    def take(self, event: Cause | DriftJudged, offset: int) -> None:
        """Take an event; repeats are passed over."""
        reached = self._reached.setdefault(event.model, Reached())
        self._touched[event.model] = None
        if isinstance(event, DriftJudged):
            reached.drift_ms = max(reached.drift_ms, event.time)
            if event.reported:
                reached.reported_ms = max(reached.reported_ms, event.time)
            return
        if isinstance(event, ServiceLevelReported):
            if event.time <= (reached.scores_ms if event.judged else reached.levels_ms):
                return
            if event.judged:
                reached.scores_ms = event.time
            else:
                reached.levels_ms = event.time
        elif isinstance(event, DriftDetected | DriftCleared) and event.time <= reached.due_ms:
            return
        self._waiting.setdefault(event.model, {}).setdefault(event.id, Waiting(offset, event))

    def due(self, output: Output) -> Iterator[Cause]:
        """What is due by what was taken since the last call, in order. State rows that change go into the output."""
        for model in self._touched:
            reached, waiting = self._reached[model], self._waiting.get(model, {})
            reached.due_ms = max(reached.due_ms, reached.watermark())
            due = [held for held in waiting.values() if held.cause.time <= reached.due_ms]
            for held in sorted(due, key=lambda one: one.order):
                key = WAITING_ROW + held.cause.id.encode()
                del waiting[held.cause.id]
                if key in self._stored:
                    self._stored.discard(key)
                    output.rows[key] = None
                yield held.cause
            for name, held in waiting.items():
                key = WAITING_ROW + name.encode()
                if key not in self._stored:
                    self._stored.add(key)
                    output.rows[key] = msgspec.json.encode(held)
            output.rows[REACHED_ROW + model.encode()] = msgspec.json.encode(reached)
        self._touched = {}
