"""Evidence of drift in a block of events, or in an epoch: sums of integers, so that partitions add up exactly."""

from collections.abc import Iterable

import msgspec
import numpy as np

from evenhand.drift.base import Floats, Ints


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """Of some blocks, one a row: events `rows` (blocks,), `fed` (blocks, features), `logs` (blocks, bets)..."""

    rows: Ints
    fed: Ints
    logs: Ints
    moments: Ints

    def allowances(self, per_event: float) -> Floats:
        """What each block may spend of the budget of false alarms."""
        return np.asarray(self.rows * per_event, np.float64)


class EpochEvidence(msgspec.Struct, frozen=True, kw_only=True):
    """One partition's evidence of one epoch, as plain JSON."""

    rows: int
    fed: tuple[int, ...]
    logs: tuple[int, ...]
    moments: tuple[int, ...]

    def as_block(self) -> Evidence:
        """As one block."""
        return Evidence(
            rows=np.array([self.rows]),
            fed=np.array([self.fed], np.int64),
            logs=np.array([self.logs], np.int64),
            moments=np.array([self.moments], np.int64),
        )


def merge(parts: Iterable[EpochEvidence]) -> EpochEvidence:
    """Of all partitions together, in any order: the same integers as if one had seen all events.

    >>> merge([EpochEvidence(rows=1, fed=(1,), logs=(-3,), moments=(2,))] * 2).logs
    (-6,)
    """
    first, *others = parts
    for other in others:
        first = EpochEvidence(
            rows=first.rows + other.rows,
            fed=_add(first.fed, other.fed),
            logs=_add(first.logs, other.logs),
            moments=_add(first.moments, other.moments),
        )
    return first


def _add(a: tuple[int, ...], b: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(x + y for x, y in zip(a, b, strict=True))
