"""Brier score."""

from typing import ClassVar

import numpy as np

from evenhand.metrics.base import Array, Loss


class BrierScore(Loss, frozen=True):
    """(p - 1(outcome > 0))^2 of a forecast probability p, without unit (Brier 1950); 0.25 for always a half.

    A value outside of 0 to 1 is no probability, and is taken as the nearer of them.

    >>> BrierScore().losses(np.array([0.9, 0.5]), np.array([1.0, 0.0])).round(6).tolist()
    [0.01, 0.25]
    """

    name: ClassVar[str] = "brier_score"
    bound: ClassVar[float | None] = 1.0

    def losses(self, values: Array, outcomes: Array) -> Array:
        return (np.clip(values, 0.0, 1.0) - (outcomes > 0.0)) ** 2
