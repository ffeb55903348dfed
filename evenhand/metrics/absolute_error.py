"""Absolute error."""

from typing import ClassVar

import numpy as np

from evenhand.metrics.base import Array, Loss


class AbsoluteError(Loss, frozen=True):
    """|value - outcome|, in the unit of the target: less moved by single large errors than the squared one.

    >>> AbsoluteError().losses(np.array([1.0, 2.0]), np.array([1.0, 4.0])).tolist()
    [0.0, 2.0]
    """

    name: ClassVar[str] = "absolute_error"

    def losses(self, values: Array, outcomes: Array) -> Array:
        return np.abs(values - outcomes)
