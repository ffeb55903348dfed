"""Exponential smoothing, one value at a time and on whole arrays, by the same operations in the same order."""

import msgspec
import numpy as np

from models.features.base import NAN, FloatArray


class Smoothed(msgspec.Struct):
    """y = weight x + (1 - weight) y', started by the plain mean of the first `size` values, as TA-Lib does it."""

    size: int
    weight: float
    count: int = 0
    value: float = 0.0

    def push(self, value: float) -> float:
        """Take in the next value; return the smoothed one, NaN before there are `size`."""
        if self.count == self.size:
            self.value = self.weight * value + (1.0 - self.weight) * self.value
            return self.value
        self.count += 1
        self.value += value
        if self.count < self.size:
            return NAN
        self.value /= self.size
        return self.value


def smooth(values: FloatArray, size: int, weight: float) -> FloatArray:
    """Do what `Smoothed` does for each of the values."""
    smoothed = np.full(len(values), NAN)
    if len(values) >= size:
        first = float(values[:size].sum()) / size
        smoothed[size - 1] = first
        smoothed[size:] = recurse(values[size:], 1.0 - weight, weight, first)
    return smoothed


def recurse(values: FloatArray, decay: float, weight: float, before: float) -> FloatArray:
    """Return y = weight x + decay y', where `before` is the y' of the first x."""
    if not len(values):
        return values.copy()
    from scipy.signal import lfilter  # noqa: PLC0415  a second that only whole histories should pay

    result: FloatArray = lfilter([weight], [1.0, -decay], values, zi=[decay * before])[0]
    return result


def wilder(size: int) -> float:
    """Weight of Wilder's smoothing over `size` candles (1978)."""
    return 1.0 / size


def span(size: int) -> float:
    """Weight of the usual exponential average over `size` candles."""
    return 2.0 / (size + 1.0)
