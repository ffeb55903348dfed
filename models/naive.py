"""Random walk: the price stays where it is, so every return is zero. The baseline that others must beat."""

from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from models.base import FloatArray, Model


class Naive(Model):
    """Answers zero at every step, with a confidence of one half."""

    kind: ClassVar[str] = "naive"

    def learn(self, rows: FloatArray, targets: FloatArray, seed: int) -> None:
        """There is nothing to learn but how far the truth lies from zero, which `fit` measures."""

    def forecast(self, rows: FloatArray, horizon: int) -> FloatArray:
        return np.zeros((len(rows), horizon))

    def weights(self) -> dict[str, bytes]:
        return {}

    def restore(self, files: Mapping[str, bytes]) -> None:
        """There is nothing to take over."""
