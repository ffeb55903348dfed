"""The one-sided e-detector on losses: concept drift, once outcomes have matured."""

from typing import Any, ClassVar

import numpy as np
from scipy.special import ndtri

from evenhand.drift.base import Floats, Takes
from evenhand.drift.betting import Betting, BettingDetector
from evenhand.drift.book import Book
from evenhand.drift.rank_legendre import rank_book
from evenhand.drift.reference import Reference, of_numbers


class LossIncrease(BettingDetector, frozen=True, kw_only=True):
    """Losses by their rank in the reference's: larger ones win, smaller ones lose. Better is no drift.

    Bets, with z the normal quantile of the rank u: exp(dz - d^2/2) for d = 0.15, 0.3, 0.6, 1, and the upper tail,
    1 + a (1{u > .95} - .05)/.05 for a = 0.05, 0.2 (rare, large losses). The effect size is Cliff's delta times sqrt(3).
    """

    kind: ClassVar[str] = "loss_increase"
    takes: ClassVar[Takes] = "losses"
    needs_reference: ClassVar[bool] = True
    state: ClassVar[type] = Betting

    def reduce(self, sample: Any) -> Reference:
        return of_numbers(sample)

    def book(self, reference: Reference) -> Book:
        return rank_book(reference, self.every, _bets, ("loss",))


def _bets(u: Floats) -> list[tuple[Floats, int]]:
    z = ndtri(u)
    bets = [(np.exp(d * z - d * d / 2), 0) for d in (0.15, 0.3, 0.6, 1.0)]
    return bets + [(1 + a * ((u > 0.95) - 0.05) / 0.05, 0) for a in (0.05, 0.2)]
