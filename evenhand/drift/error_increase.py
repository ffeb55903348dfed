"""The one-sided e-detector on errors: the share of wrong or failed answers has risen."""

from typing import Annotated, Any, ClassVar

import numpy as np
from msgspec import Meta

from evenhand.drift.base import Takes
from evenhand.drift.betting import Betting, BettingDetector
from evenhand.drift.book import Book, fixed
from evenhand.drift.reference import Numbers, Reference
from evenhand.errors import InvalidConfiguration, InvalidEvent

_ODDS = (1.35, 1.9)


class ErrorIncrease(BettingDetector, frozen=True, kw_only=True):
    """Errors (1) and successes (0), against the reference's rate p plus `tolerance`, m = p + tolerance.

    Bets 1 + a (x - m), a = (q - m)/(m (1 - m)), each best for a rate q: odds of 1.35 and 1.9 times those of m.
    A tolerance below two standard errors of p is raised to that. The effect size is the rise over p, a fraction.
    """

    kind: ClassVar[str] = "error_increase"
    takes: ClassVar[Takes] = "errors"
    needs_reference: ClassVar[bool] = True
    state: ClassVar[type] = Betting

    tolerance: Annotated[float, Meta(ge=0, lt=1)] = 0.01

    def reduce(self, sample: Any) -> Reference:
        values = np.asarray(sample, np.float64)
        if not np.isin(values, (0.0, 1.0)).all():
            raise InvalidEvent("errors are 1 and successes 0: for losses use loss_increase")
        p = float(values.mean())
        return Numbers(len(values), (0.5,), (1 - p, p))

    def book(self, reference: Reference) -> Book:
        p, n = reference.probabilities[1], reference.n / self.every
        m = p + max(self.tolerance, 2 * np.sqrt((p * (1 - p) + 1 / n) / n))
        if m >= 1:
            raise InvalidConfiguration(f"{p:.2%} of the reference are errors: there is no room for more")
        x = np.array([0.0, 1.0])
        rates = [times * m / (1 - m + times * m) for times in _ODDS]
        logs = np.array([np.log1p((q - m) / (m * (1 - m)) * (x - m)) for q in rates])
        return Book(
            logs=fixed(logs.T),
            scores=fixed((x - p)[:, None]),
            owners=np.zeros(len(_ODDS), np.int64),
            causes=("error rate",),
        )
