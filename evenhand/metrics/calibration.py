"""Calibration error of confidences."""

from typing import ClassVar, Self

import msgspec
import numpy as np

from evenhand.metrics.base import Array
from evenhand.metrics.sketch import Sketch

BINS = 10
_NONE = (0.0,) * BINS


class Calibration(Sketch, frozen=True, kw_only=True):
    """Expected calibration error: mean of |share right - mean confidence| over ten equal bins (Naeini et al. 2015).

    It is biased upwards by about sqrt(bins/n)/4: a thousand outcomes are few.
    """

    kind: ClassVar[str] = "calibration"

    counts: tuple[float, ...] = _NONE
    confidence: tuple[float, ...] = _NONE
    right: tuple[float, ...] = _NONE

    def add(self, confidence: Array, right: Array) -> Self:
        """With more confidences in [0, 1] and whether the direction was right (1) or not (0), both of shape (n,)."""
        if ((confidence < 0) | (confidence > 1)).any():
            raise ValueError("a confidence is a probability, from 0 to 1")
        place = np.minimum((confidence * BINS).astype(np.int64), BINS - 1)
        sums = [np.bincount(place, weights, BINS).tolist() for weights in (np.ones(len(place)), confidence, right)]
        return self.merge(type(self)(counts=tuple(sums[0]), confidence=tuple(sums[1]), right=tuple(sums[2])))

    def merge(self, other: Self) -> Self:
        return msgspec.structs.replace(
            self,
            counts=_add(self.counts, other.counts),
            confidence=_add(self.confidence, other.confidence),
            right=_add(self.right, other.right),
        )

    def values(self) -> dict[str, float]:
        n = sum(self.counts)
        if n == 0:
            return {}
        return {"calibration_error": sum(abs(r - c) for r, c in zip(self.right, self.confidence, strict=True)) / n}


def _add(a: tuple[float, ...], b: tuple[float, ...]) -> tuple[float, ...]:
    return tuple(x + y for x, y in zip(a, b, strict=True))
