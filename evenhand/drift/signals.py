"""What stands in `drift-signals.v1`: alarms and their ends, and how far drift is judged."""

from collections.abc import Iterator

from evenhand.codec import decoder
from evenhand.events import DriftCleared, DriftDetected, DriftJudged

Signal = DriftDetected | DriftCleared
DAY_S = 86_400
STEADY_S = 5 * DAY_S  # a day longer than service levels tell of each epoch of a silence


def signal_of(value: bytes | None) -> Signal | None:
    """An alarm or its end; None for a tick."""
    event = decoder(DriftDetected, DriftCleared, DriftJudged).decode(value or b"")
    return event if isinstance(event, DriftDetected | DriftCleared) else None


def told(epochs: range, silent_since: int, epoch_s: int) -> Iterator[int]:
    """Of silent epochs those that are told: each for five days, and then the first that ends in a day.

    >>> [*told(range(0, 30), 0, 43_200)]
    [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29]
    """
    steady = silent_since + STEADY_S // epoch_s
    yield from range(epochs.start, min(epochs.stop, steady))
    reached = max(epochs.start, steady)
    while (epoch := -(-(reached * epoch_s // DAY_S + 1) * DAY_S // epoch_s) - 1) < epochs.stop:
        yield epoch
        reached = epoch + 1
