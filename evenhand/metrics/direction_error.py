"""Direction error: one minus direction accuracy."""

from typing import ClassVar

import numpy as np

from evenhand.metrics.base import Array, Loss


class DirectionError(Loss, frozen=True):
    """1 where value and outcome have different signs, 0 where the same, 0.5 where one of them is zero.

    A forecast of no change is neither right nor wrong: it is worth as much as a coin.

    >>> DirectionError().losses(np.array([1.0, -1.0, 0.0]), np.array([2.0, 2.0, 2.0])).tolist()
    [0.0, 1.0, 0.5]
    """

    name: ClassVar[str] = "direction_error"
    bound: ClassVar[float | None] = 1.0

    def losses(self, values: Array, outcomes: Array) -> Array:
        return 0.5 - 0.5 * np.sign(values) * np.sign(outcomes)
