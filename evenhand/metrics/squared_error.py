"""Squared error."""

from typing import ClassVar

from evenhand.metrics.base import Array, Loss


class SquaredError(Loss, frozen=True):
    """(value - outcome)^2, in the squared unit of the target. Its root mean is RMSE.

    >>> import numpy as np
    >>> SquaredError().losses(np.array([1.0, 2.0]), np.array([1.0, 4.0])).tolist()
    [0.0, 4.0]
    """

    name: ClassVar[str] = "squared_error"

    def losses(self, values: Array, outcomes: Array) -> Array:
        return (values - outcomes) ** 2
