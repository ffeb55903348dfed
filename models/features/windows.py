"""Sliding windows: moments without subtraction, so that a wild value leaves no trace once it has left; extremes."""

import math

import msgspec
import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from models.features.base import NAN, FloatArray

Moments = tuple[int, float, float]  # count, mean, sum of squared deviations
EMPTY: Moments = (0, 0.0, 0.0)


def merge(a: Moments, b: Moments) -> Moments:
    """Moments of both together (Chan, Golub, LeVeque 1979)."""
    if not a[0]:
        return b
    if not b[0]:
        return a
    count = a[0] + b[0]
    distance = b[1] - a[1]
    return (
        count,
        a[1] + distance * b[0] / count,
        a[2] + b[2] + distance * distance * a[0] * b[0] / count,
    )


class Window(msgspec.Struct):
    """The last `size` values. A queue of two stacks: each `push` costs O(1) on average and only ever merges.

    `values` came in after the last turn; `older` holds, for the values before it, the moments of each and all that
    came after it, so that the oldest is dropped by a pop.
    """

    size: int
    values: list[float] = []
    newer: Moments = EMPTY
    older: list[Moments] = []

    def push(self, value: float) -> None:
        """Take in the next value and let the oldest go if the window was full."""
        if len(self.values) + len(self.older) == self.size:
            if not self.older:
                self._turn()
            self.older.pop()
        self.values.append(value)
        self.newer = merge(self.newer, (1, value, 0.0))

    def _turn(self) -> None:
        after = EMPTY
        for value in reversed(self.values):
            after = merge((1, value, 0.0), after)
            self.older.append(after)
        self.values = []
        self.newer = EMPTY

    @property
    def moments(self) -> Moments:
        """Count, mean and sum of squared deviations of what the window holds."""
        return merge(self.older[-1], self.newer) if self.older else self.newer

    @property
    def full(self) -> bool:
        """Whether as many values came as it can hold."""
        return len(self.values) + len(self.older) == self.size


def rolling_mean(values: FloatArray, size: int) -> FloatArray:
    """Mean of the last `size` values at each place, NaN before there are as many."""
    means = np.full(len(values), NAN)
    if len(values) >= size:
        means[size - 1 :] = shifted_windows(values, size).mean(axis=1) + values[size - 1 :]
    return means


def rolling_deviation(values: FloatArray, size: int) -> FloatArray:
    """Sample standard deviation of the last `size` values at each place, NaN before there are as many."""
    deviations = np.full(len(values), NAN)
    if len(values) >= size:
        deviations[size - 1 :] = shifted_windows(values, size).std(axis=1, ddof=1)
    return deviations


def sample_deviation(moments: Moments) -> float:
    """Sample standard deviation from moments of at least two values."""
    return math.sqrt(moments[2] / (moments[0] - 1))


class Recent(msgspec.Struct):
    """The last `size` values themselves, oldest first, for what cannot be merged."""

    size: int
    values: list[float] = []

    def push(self, value: float) -> bool:
        """Take in the next value and let the oldest go; return whether there are as many as there can be."""
        self.values.append(value)
        if len(self.values) > self.size:
            self.values.pop(0)
        return len(self.values) == self.size


class Greatest(msgspec.Struct):
    """The greatest of the last `size` values, O(1) on average: only values that may yet be the greatest are held.

    The least is the greatest of the negated values, negated.
    """

    size: int
    count: int = 0
    held: list[tuple[int, float]] = []

    def push(self, value: float) -> float:
        """Take in the next value and return the greatest, NaN before there are `size`."""
        held = self.held
        while held and held[-1][1] <= value:
            held.pop()
        held.append((self.count, value))
        self.count += 1
        if held[0][0] < self.count - self.size:
            held.pop(0)
        return held[0][1] if self.count >= self.size else NAN


def rolling_greatest(values: FloatArray, size: int) -> FloatArray:
    """Greatest of the last `size` values at each place, NaN before there are as many."""
    greatest = np.full(len(values), NAN)
    if len(values) >= size:
        greatest[size - 1 :] = sliding_window_view(values, size).max(axis=1)
    return greatest


def rolling_least(values: FloatArray, size: int) -> FloatArray:
    """Least of the last `size` values at each place, NaN before there are as many."""
    return -rolling_greatest(-values, size)


def shifted_windows(values: FloatArray, size: int) -> FloatArray:
    """Windows of `size` values less their last one, shape (n - size + 1, size): exact zeros where nothing moved."""
    if len(values) < size:
        return np.empty((0, size))
    windows = sliding_window_view(values, size)
    shifted: FloatArray = windows - windows[:, -1:]
    return shifted


def z_scores(values: FloatArray, size: int) -> FloatArray:
    """How many sample deviations each value lies above the mean of the last `size`; 0 where they are all the same."""
    scores = np.full(len(values), NAN)
    if len(values) >= size:
        windows = shifted_windows(values, size)
        deviation = windows.std(axis=1, ddof=1)
        flat = deviation == 0
        scores[size - 1 :] = np.where(flat, 0.0, -windows.mean(axis=1) / np.where(flat, 1.0, deviation))
    return scores
