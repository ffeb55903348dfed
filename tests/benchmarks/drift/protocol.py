"""The protocol of alibi-detect's online detectors, written anew from its documentation (0.13): it is not installed,
for its licence is BSL 1.1 and it wants numpy below 2.

At each event the last 25, 100 and 400 are compared with the whole reference: by Cramer and von Mises for numbers, by
Fisher's exact test (one-sided, its p-value smoothed with 0.99) for errors. Thresholds are simulated on streams without
change, each with a reference of its own, so that the expected run time until a false alarm is what was set: here
100,000 events. Of Cramer and von Mises' statistic the first 32 harmonics are taken, and ranks in the reference.
"""

from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter
from scipy.stats import hypergeom

from tests.benchmarks.drift.streams import Floats

WINDOWS, RUN_TIME, HARMONICS, SMOOTHING = (25, 100, 400), 100_000, 32, 0.99
LONGEST = WINDOWS[-1]
SIMULATED, CHUNK = 40 * RUN_TIME, 50_000
Statistic = Callable[[Floats], NDArray[np.float32]]  # of events, (windows, n); before a window is full, -inf


class Compared(NamedTuple):
    """As a detector's state; `tail` are the last events, `smoothed` what smoothing has come to."""

    reference: Floats
    seen: int = 0
    alarm_at: int | None = None
    tail: Floats = np.empty(0)
    smoothed: tuple[float, ...] = ()


def sliding(values: Floats, window: int) -> Floats:
    """Sums over the last `window` events, along the last axis, from the first full window on."""
    sums = np.cumsum(values, -1)
    sums[..., window:] -= sums[..., :-window].copy()
    return np.asarray(sums[..., window - 1 :])


def cramer_von_mises(uniform: Floats) -> NDArray[np.float32]:
    found = np.full((len(WINDOWS), len(uniform)), -np.inf, np.float32)
    step = np.arange(1, HARMONICS + 1)[:, None]
    waves = np.cos(np.pi * step * uniform) / (np.pi * step)
    for row, window in enumerate(WINDOWS):
        if len(uniform) >= window:
            found[row, window - 1 :] = 2 * np.square(sliding(waves, window)).sum(0) / window
    return found


@cache
def unlikely(ones: int, length: int, window: int) -> Floats:
    """1 - p of Fisher's exact test, one-sided, by the number of ones in the window."""
    counts = np.arange(window + 1)
    return np.asarray(1 - hypergeom.sf(counts - 1, length + window, ones + counts, window), np.float64)


class CvmOnline:
    """For numbers."""

    needs_reference = True

    def start(self, reference: Floats) -> Compared:
        return Compared(np.sort(reference))

    def update(self, state: Compared, batch: Floats) -> Compared:
        if state.alarm_at is not None or not len(batch):
            return state
        uniform = (np.searchsorted(state.reference, batch) + 0.5) / (len(state.reference) + 1)
        every = np.concatenate([state.tail, uniform])
        found = cramer_von_mises(every)[:, len(state.tail) :]
        return _judged(state, found, cvm_thresholds(len(state.reference)), every, len(batch))


class FetOnline:
    """For errors: only more of them are drift."""

    needs_reference = True

    def start(self, reference: Floats) -> Compared:
        return Compared(np.asarray(reference), smoothed=(0.0,) * len(WINDOWS))

    def update(self, state: Compared, batch: Floats) -> Compared:
        if state.alarm_at is not None or not len(batch):
            return state
        ones, length = int(state.reference.sum()), len(state.reference)
        every = np.concatenate([state.tail, batch])
        found, smoothed = smooth(every, len(state.tail), ones, length, state.smoothed)
        return _judged(state, found, fet_thresholds(round(ones / length, 2), length), every, len(batch))._replace(
            smoothed=smoothed
        )


def smooth(
    every: Floats, old: int, ones: int, length: int, before: tuple[float, ...]
) -> tuple[NDArray[np.float32], tuple[float, ...]]:
    """Smoothed 1 - p of each window; the first `old` events were seen before."""
    found, after = np.full((len(WINDOWS), len(every) - old), -np.inf, np.float32), list(before)
    for row, window in enumerate(WINDOWS):
        first = max(old, window - 1)
        if first >= len(every):
            continue
        sums = sliding(every, window)[first - window + 1 :]
        raw = unlikely(ones, length, window)[np.rint(sums).astype(int)]
        values, _ = lfilter([1 - SMOOTHING], [1, -SMOOTHING], raw, zi=[SMOOTHING * before[row]])
        found[row, first - old :], after[row] = values, float(values[-1])
    return found, tuple(after)


def _judged(state: Compared, found: NDArray[np.float32], thresholds: Floats, every: Floats, count: int) -> Compared:
    over = np.flatnonzero((found > thresholds[:, None]).any(0))
    if len(over):
        at = state.seen + int(over[0]) + 1
        return state._replace(seen=at, alarm_at=at)
    return state._replace(seen=state.seen + count, tail=every[-(LONGEST - 1) :])


@cache
def cvm_thresholds(length: int) -> Floats:
    rng = np.random.default_rng(51)

    def stream() -> NDArray[np.float32]:
        reference = np.sort(rng.random(length))
        uniform = (np.searchsorted(reference, rng.random(CHUNK)) + 0.5) / (length + 1)
        return cramer_von_mises(uniform)

    return calibrated(stream)


@cache
def fet_thresholds(rate: float, length: int) -> Floats:
    rng = np.random.default_rng(52)

    def stream() -> NDArray[np.float32]:
        of, values = int(rng.binomial(length, rate)), (rng.random(CHUNK) < rate).astype(np.float64)
        return smooth(values, 0, of, length, (0.0,) * len(WINDOWS))[0]

    return calibrated(stream)


def calibrated(stream: Callable[[], NDArray[np.float32]]) -> Floats:
    """Thresholds, one quantile for all windows, with the run time that was set, once all windows are full."""
    every = np.concatenate([stream()[:, LONGEST:] for _ in range(SIMULATED // CHUNK)], 1)
    ordered = np.sort(every, 1)
    low, high = 0.0, -np.log10(2 / every.shape[1])  # share above a threshold, as -log10
    for _ in range(20):
        middle = (low + high) / 2
        thresholds = ordered[:, -1 - int(every.shape[1] * 10**-middle)]
        fired, free = 0, 0
        for at in np.flatnonzero((every > thresholds[:, None]).any(0)):
            if at >= free:
                fired, free = fired + 1, int(at) + LONGEST
        low, high = (middle, high) if fired * RUN_TIME > every.shape[1] else (low, middle)
    return np.asarray(ordered[:, -1 - int(every.shape[1] * 10**-high)], np.float64)
