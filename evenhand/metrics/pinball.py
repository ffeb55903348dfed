"""Pinball loss."""

from typing import ClassVar

import numpy as np

from evenhand.metrics.base import Array, Loss


class Pinball(Loss, frozen=True):
    """max(q e, (q - 1) e) of e = outcome - value, in the unit of the target, for a forecast of the q-quantile.

    The least expected loss is at the true quantile (Koenker & Bassett 1978). This is for q = 0.9, an upper bound that
    one outcome in ten may pass: to be below costs nine times as much as to be above.

    >>> Pinball().losses(np.array([1.0, 1.0]), np.array([0.0, 2.0])).round(6).tolist()
    [0.1, 0.9]
    """

    name: ClassVar[str] = "pinball_90"
    quantile: float = 0.9

    def losses(self, values: Array, outcomes: Array) -> Array:
        error = outcomes - values
        return np.maximum(self.quantile * error, (self.quantile - 1.0) * error)
