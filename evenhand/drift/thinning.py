"""Autocorrelation: how many events apart two events must be to count as two."""

from typing import Any

import numpy as np
from scipy.special import eval_legendre

from evenhand.drift.base import Floats, numbers

MAX_LAG_SHARE = 10  # lags up to a tenth of the sample


def thin_every(sample: Any) -> int:
    """Of how many events one is to be looked at: the integrated autocorrelation time of the slowest rank score.

    tau = 1 + 2 sum of rho(lag), over Geyer's initial positive sequence (Geyer, "Practical Markov Chain Monte Carlo",
    1992): pairs of lags are added while their sum is positive. For AR(1) it is (1 + phi)/(1 - phi). It is taken of
    the Legendre scores g1, g2, g3 of ranks, not of the values: volatility clusters where returns do not.
    Independent events give 1: a time below 1.5 is noise. Cost: three FFTs of the sample.

    >>> thin_every(np.random.default_rng(0).normal(size=5000))
    1
    """
    values = numbers(sample)
    n = len(values)
    if n < 100:
        return 1
    ranks = (np.searchsorted(np.sort(values), values) + np.searchsorted(np.sort(values), values, "right")) / (2 * n)
    times = [_time(np.asarray(eval_legendre(degree, 2 * ranks - 1), np.float64)) for degree in (1, 2, 3)]
    slowest = max(times)
    return 1 if slowest < 1.5 else int(np.ceil(slowest))


def _time(scores: Floats) -> float:
    n = len(scores)
    centred = scores - scores.mean()
    spectrum = np.fft.rfft(centred, 2 * n)
    covariance = np.fft.irfft(spectrum * np.conj(spectrum))[: max(2, n // MAX_LAG_SHARE)]
    if covariance[0] <= 1e-12 * n:
        return 1.0
    rho = covariance / covariance[0]
    pairs = rho[: len(rho) // 2 * 2].reshape(-1, 2).sum(1)
    end = np.flatnonzero(pairs <= 0)
    return float(2 * pairs[: end[0] if len(end) else len(pairs)].sum() - 1)
