"""Two books of alerts side by side: a recorded one, and that of a replay or a backtest."""

from collections.abc import Mapping
from typing import NamedTuple

import msgspec

from evenhand.events import AlertFired, AlertResolved


class Book(NamedTuple):
    """Each alert once, in order, as `alerts.v1` has it; by model how far service levels had been judged."""

    alerts: list[bytes]
    reached: Mapping[str, int]


class Compared(msgspec.Struct):
    """How many alerts were compared, and the first that only one side has, or has otherwise."""

    alerts: int
    difference: AlertFired | AlertResolved | None

    @property
    def equal(self) -> bool:
        """Whether both are the same, byte for byte."""
        return self.difference is None


def compare(ours: Book, theirs: Book) -> Compared:
    """Compare as far as both have judged the model of each alert."""
    kept = {model: min(end, theirs.reached[model]) for model, end in ours.reached.items() if model in theirs.reached}
    one, other = _within(ours, kept), _within(theirs, kept)
    different = sorted(set(one.items()) ^ set(other.items()))
    return Compared(
        alerts=len(one.keys() | other.keys()),
        difference=msgspec.json.decode(different[0][1], type=AlertFired | AlertResolved) if different else None,
    )


def _within(book: Book, kept: Mapping[str, int]) -> dict[tuple[int, str], bytes]:
    found: dict[tuple[int, str], bytes] = {}
    for value in book.alerts:
        event = msgspec.json.decode(value, type=AlertFired | AlertResolved)
        if event.time <= kept.get(event.labels.get("model", ""), -1):
            found[event.time, event.id] = value
    return found
