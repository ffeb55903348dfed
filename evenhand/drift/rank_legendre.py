"""The rank-Legendre e-detector: numeric features, any law, any change of mean, spread or shape."""

from typing import Any, ClassVar

import numpy as np
from scipy.special import eval_legendre, ndtri
from scipy.stats import t as student

from evenhand.drift.base import Floats, Takes
from evenhand.drift.betting import Betting, BettingDetector
from evenhand.drift.book import Bet, Book, book
from evenhand.drift.reference import Reference, of_numbers

_FINE = 32  # points at which a bet is averaged over a bin
CAUSES = ("mean", "spread", "shape")


class RankLegendre(BettingDetector, frozen=True, kw_only=True):
    """Numbers, by their rank u in the reference: uniform whatever the law, so one table of bets serves all features.

    Bets are densities on u, with x = 2u - 1 and z the normal quantile of u:
    Legendre 1 + a g(u), g2 = sqrt(5)(3x^2 - 1)/2 (spread), g3 = sqrt(7)(5x^3 - 3x)/2 (shape), and likelihood ratios of
    normal scores: exp(dz - d^2/2) (mean), exp(z^2 (1 - 1/s^2)/2)/s (spread), Student's t4 of variance 1 (tails).
    Research had Legendre bets alone; normal scores halve the delays of a spread and take a third off that of 1 sd.

    Effect sizes are means of the Legendre score g1, g2, g3 or g4: standard deviations of the score under the
    reference. For the mean, effect/sqrt(3) is Cliff's delta, P(new > old) - P(new < old).
    Cost: about 0.3 us an event and feature in batches; state 17 bets a feature (evenhand/drift/wealth.py).
    """

    kind: ClassVar[str] = "rank_legendre"
    takes: ClassVar[Takes] = "numbers"
    needs_reference: ClassVar[bool] = True
    state: ClassVar[type] = Betting

    def reduce(self, sample: Any) -> Reference:
        return of_numbers(sample)

    def book(self, reference: Reference) -> Book:
        return rank_book(reference, self.every, _bets)


def _bets(u: Floats) -> list[tuple[Floats, int]]:
    x, z = 2 * u - 1, ndtri(u)
    bets = [(np.exp(d * z - d * d / 2), 0) for d in (-1.0, -0.5, -0.25, 0.25, 0.5, 1.0)]
    bets += [(np.exp(z * z / 2 * (1 - 1 / s**2)) / s, 1) for s in (0.5, 2 / 3, 1.5, 2.0)]
    bets += [(1 + a * _legendre(2, x), 1) for a in (-0.25, 0.25)]
    bets += [(1 + a * _legendre(3, x), 2) for a in (-0.25, -0.1, 0.1, 0.25)]
    wide = np.sqrt(2.0)  # of t4
    bets.append((student.pdf(z * wide, 4) * wide * np.sqrt(2 * np.pi) * np.exp(z * z / 2), 3))
    return bets


def _legendre(degree: int, x: Floats) -> Floats:
    return np.asarray(np.sqrt(2 * degree + 1) * eval_legendre(degree, x), np.float64)


def rank_book(reference: Reference, every: int, bets_at: Any, causes: tuple[str, ...] = (*CAUSES, "shape")) -> Book:
    """A book of densities on the rank, each averaged over the bins of a reference of numbers."""
    if not hasattr(reference, "ends"):
        raise TypeError("ranks are of numbers")
    ends = reference.ends
    width = np.diff(ends)
    u = (ends[:-1, None] + width[:, None] * ((np.arange(_FINE) + 0.5) / _FINE)).ravel()

    def averaged(values: Floats) -> Floats:
        return np.asarray(values.reshape(-1, _FINE).mean(1), np.float64)

    bets = [Bet(averaged(winnings), moment) for winnings, moment in bets_at(u)]
    scores = np.array([averaged(_legendre(degree, 2 * u - 1)) for degree in range(1, len(causes) + 1)]).T
    return book(width, max(1, reference.n // every), bets, scores, causes)
