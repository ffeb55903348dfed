"""What a model is trained on and judged by: rows, targets, and the times when each became known."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from evenhand.errors import InvalidConfiguration

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
Forecaster = Callable[[FloatArray], FloatArray]  # rows (n, features) to values (n, steps)


class Learner(Protocol):
    """Whatever learns. All that is fitted (scalers, selection, tuning, stopping) is fitted in here, on what it gets."""

    def __call__(self, rows: FloatArray, targets: FloatArray, seed: int) -> Forecaster:
        """Learn from rows and targets (n, steps), NaN where one was not known in time; return what forecasts."""
        ...


@dataclass(frozen=True, slots=True)
class Examples:
    """One series or many, rows in any order. Times in ms.

    made_at: when the row was known, shape (n,). known_at: when the target of each step was known, (n, steps).
    rows: (n, features). targets: (n, steps), NaN where a target is not known.
    """

    made_at: IntArray
    known_at: IntArray
    rows: FloatArray
    targets: FloatArray

    def __post_init__(self) -> None:
        count = len(self.made_at)
        if self.rows.shape[:1] != (count,) or self.targets.shape != self.known_at.shape or len(self.targets) != count:
            raise InvalidConfiguration(
                f"made_at {self.made_at.shape}, known_at {self.known_at.shape}, rows {self.rows.shape} and targets "
                f"{self.targets.shape} must speak of the same rows and steps"
            )
        if (self.known_at <= self.made_at[:, None]).any():
            row = int(np.flatnonzero((self.known_at <= self.made_at[:, None]).any(axis=1))[0])
            raise InvalidConfiguration(f"the target of row {row} was known when its row was made: it is no forecast")

    def __len__(self) -> int:
        return len(self.made_at)

    @property
    def steps(self) -> int:
        """How many steps ahead."""
        return int(self.targets.shape[1])
