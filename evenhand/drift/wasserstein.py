"""The Wasserstein distance."""

from typing import ClassVar

from scipy.stats import wasserstein_distance

from evenhand.drift.base import Floats
from evenhand.drift.window import WindowTest


class Wasserstein(WindowTest, frozen=True, kw_only=True):
    """Mean distance between equal quantiles, in standard deviations of the reference: shift by 0.1 sd gives 0.1.

    A heavy tail moves it without any drift, as it moves the standard deviation.
    """

    kind: ClassVar[str] = "wasserstein"

    def score(self, reference: Floats, window: Floats) -> float:
        spread = float(reference.std())
        distance = float(wasserstein_distance(reference, window))
        return distance / spread if spread > 0 else float(distance > 0)
