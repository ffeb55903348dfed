"""Bets against a reference. A book says what each bet wins on each code (bin or category), as exact integers.

A bet is a function f >= 0 of the code with mean 1 under the reference. Its log is rounded down to a multiple of 2^-30,
so that the evidence of many events is a sum of integers: it is the same in any order, batch or partition.
The reference is itself a sample, so f is divided by 1 + 2 sd(f) / sqrt(n): then its mean stays below 1 for every
law within two standard errors of the sample (research/stats.md, B1).
"""

from collections.abc import Sequence
from typing import NamedTuple

import msgspec
import numpy as np

from evenhand.drift.base import Floats, Ints

SCALE = 1 << 30
_LEAST = -64.0  # of a log: a bet that loses all would never recover, and would not fit


class Bet(NamedTuple):
    """A bet by its winnings on each code, and which of the book's moments it is about."""

    winnings: Floats
    moment: int


class Book(msgspec.Struct, frozen=True, kw_only=True):
    """Of one feature: `logs` (codes, bets) and `scores` (codes, moments), in units of 2^-30.

    `owners` names the moment of each bet, and `causes` each moment.
    """

    logs: Ints
    scores: Ints
    owners: Ints
    causes: tuple[str, ...]

    def table(self) -> Ints:
        """Logs and scores side by side: one look-up an event gives both."""
        return np.ascontiguousarray(np.hstack([self.logs, self.scores]))


def fixed(values: Floats) -> Ints:
    """Numbers in units of 2^-30, rounded down.

    >>> fixed(np.array([0.5, -0.25])).tolist()
    [536870912, -268435456]
    """
    return np.floor(values * SCALE).astype(np.int64)


def book(probabilities: Floats, n: int, bets: Sequence[Bet], scores: Floats, causes: Sequence[str]) -> Book:
    """A book from bets, made fair against the sample's own error. `n` is the number of independent events in it."""
    logs = []
    for bet in bets:
        mean = float(bet.winnings @ probabilities)
        winnings = bet.winnings / mean
        spread = max(0.0, float(winnings**2 @ probabilities) - 1) ** 0.5
        with np.errstate(divide="ignore"):
            logs.append(np.maximum(np.log(winnings), _LEAST) - np.log1p(2 * spread / np.sqrt(n)))
    return Book(
        logs=fixed(np.array(logs).T),
        scores=fixed(scores - probabilities @ scores),
        owners=np.array([bet.moment for bet in bets], np.int64),
        causes=tuple(causes),
    )
