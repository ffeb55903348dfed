"""The e-detector for categories: one has become more frequent, or rarer, or is new."""

from typing import Any, ClassVar

import numpy as np

from evenhand.drift.base import Takes
from evenhand.drift.betting import Betting, BettingDetector
from evenhand.drift.book import Bet, Book, book
from evenhand.drift.reference import Reference, of_categories


class Categorical(BettingDetector, frozen=True, kw_only=True):
    """Categories, each against its share p of the reference. All that the reference does not name are one, "other".

    Bets 1 + a (1{x = c}/p - 1): a = .05, .2 and .5 for more of c; for less of it, -a p/(1 - p) in place of a.
    The effect size is the change of c's share in standard deviations, (share - p)/sqrt(p (1 - p)).
    """

    kind: ClassVar[str] = "categorical"
    takes: ClassVar[Takes] = "categories"
    needs_reference: ClassVar[bool] = True
    state: ClassVar[type] = Betting

    def reduce(self, sample: Any) -> Reference:
        return of_categories(list(sample))

    def book(self, reference: Reference) -> Book:
        p = np.array(reference.probabilities)
        is_c = np.eye(len(p))
        bets = []
        for c, share in enumerate(p):
            less = min(1.0, share / (1 - share)) if share < 1 else 1.0
            bets += [Bet(1 + a * (is_c[c] / share - 1), c) for a in (0.05, 0.2, 0.5)]
            bets += [Bet(1 - a * less * (is_c[c] / share - 1), c) for a in (0.2, 0.5, 0.9) if share > 0.02]
        scores = (is_c - p) / np.sqrt(p * (1 - p) + 1e-12)
        names = getattr(reference, "names", ())
        return book(
            p, max(1, reference.n // self.every), bets, scores, [f"share of {name}" for name in (*names, "other")]
        )
