"""Streams whose truth is known: paired differences in the order in which they are judged, with mean zero.

A stream is drawn as an array of shape (runs, looks) of unit order. `Drawn.missing` is what share of the outcomes due
never came by each look, and `frozen` whether a failed check has frozen the decision by then; None where all come.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from evenhand.experiments.srm import LOG_ENOUGH, log_e

Floats = NDArray[np.float64]
Generator = np.random.Generator


class Drawn(NamedTuple):
    """Differences, and what is known of those that never came."""

    x: Floats
    missing: Floats | None = None
    frozen: NDArray[np.bool_] | None = None


Draw = Callable[[Generator, int, int], Drawn]


def normal(r: Generator, runs: int, n: int) -> Drawn:
    """N(0, 1)."""
    return Drawn(r.normal(size=(runs, n)))


def binary(r: Generator, runs: int, n: int) -> Drawn:
    """Two forecasts of a coin, right half of the time each, agreeing in two of three cases."""
    drawn = r.random((runs, n))
    return Drawn(np.where(drawn < 1 / 6, 1.0, np.where(drawn > 5 / 6, -1.0, 0.0)))


def lognormal(r: Generator, runs: int, n: int) -> Drawn:
    """Two losses, each lognormal."""
    return Drawn(r.lognormal(size=(runs, n)) - r.lognormal(size=(runs, n)))


def t5(r: Generator, runs: int, n: int) -> Drawn:
    """Student's t of five degrees."""
    return Drawn(r.standard_t(5, size=(runs, n)))


def pareto(r: Generator, runs: int, n: int) -> Drawn:
    """Two losses, each Pareto 2.5: no third moment."""
    return Drawn(r.pareto(2.5, size=(runs, n)) - r.pareto(2.5, size=(runs, n)))


def block_covariance(horizon: int) -> tuple[float, float]:
    """Variance of the mean over 4 h sums of the last h of independent N(0, 1), and covariance with the next such mean.

    Each noise has weight h but for h - 1 of them at each edge, which two blocks share.
    """
    m, k = 4 * horizon, np.arange(1.0, horizon)
    variance = horizon**2 * (m - horizon + 1) + 2.0 * float(np.sum(k * k))
    return variance / m**2, float(np.sum(k * (horizon - k))) / m**2


def overlapping(horizon: int) -> Draw:
    """h-step forecasts, each with its own loss: what is judged are means of blocks of 4 h of them.

    Neighbouring blocks share an edge and no others do, so a moving average of two has exactly their distribution.
    """
    variance, covariance = block_covariance(horizon)
    root = (variance + 2.0 * covariance) ** 0.5, (variance - 2.0 * covariance) ** 0.5
    a, b = 0.5 * (root[0] + root[1]), 0.5 * (root[0] - root[1])

    def draw(r: Generator, runs: int, n: int) -> Drawn:
        noise = r.normal(size=(runs, n + 1))
        return Drawn(a * noise[:, 1:] + b * noise[:, :-1])

    return draw


def clustered(r: Generator, runs: int, n: int) -> Drawn:
    """Twenty requests that share an outcome: what is judged are their means."""
    shared, own = r.normal(size=(runs, n)), r.normal(size=(runs, n))
    return Drawn(shared + own / 20**0.5)


def missing(r: Generator, runs: int, n: int) -> Drawn:
    """Three outcomes in ten never come, more often where both are wrong: pairs are lost together."""
    drawn = r.normal(size=(runs, 2 * n))
    kept = np.argsort(r.random((runs, 2 * n)) < 0.2 + 0.1 * (np.abs(drawn) > 1), axis=1, kind="stable")[:, :n]
    return Drawn(np.asarray(np.take_along_axis(drawn, kept, axis=1)))


def delayed(r: Generator, runs: int, n: int) -> Drawn:
    """Outcomes come later the more the two differ, and are judged when they are known."""
    drawn = r.lognormal(size=(runs, n)) - r.lognormal(size=(runs, n))
    known = np.arange(n) + r.exponential(20.0 * (1.0 + np.abs(drawn)))
    return Drawn(np.asarray(np.take_along_axis(drawn, np.argsort(known, axis=1), axis=1)))


def attrition(r: Generator, runs: int, n: int) -> Drawn:
    """Half of the requests are the challenger's, and where it is much worse, half of their outcomes never come.

    What is left says that it is better. The trust checks must stand in the way: attrition that differs by variant
    freezes, and a promotion that the missing outcomes could overturn is blocked.
    """
    drawn, is_challenger = r.normal(size=(runs, 2 * n)), r.random((runs, 2 * n)) < 0.5
    lost = r.random((runs, 2 * n)) < 0.1 + 0.5 * (is_challenger & (drawn > 0.5))
    kept = np.argsort(lost, axis=1, kind="stable")[:, :n]
    kept.sort(axis=1)
    due = kept + 1.0
    failed = np.zeros((runs, n), np.bool_)
    for is_counted in (~lost, lost):  # what matured, and what never came, by the variant that was served
        counts = [np.cumsum(is_counted & served, axis=1) for served in (~is_challenger, is_challenger)]
        seen = np.stack([np.take_along_axis(each, kept, axis=1) for each in counts], axis=-1)
        failed |= log_e(seen, [1, 1]) >= LOG_ENOUGH
    x = np.asarray(np.take_along_axis(drawn, kept, axis=1))
    return Drawn(x, 1.0 - np.arange(1.0, n + 1.0) / due, np.maximum.accumulate(failed, axis=1))


def of_file(differences: Floats) -> Draw:
    """A user's paired differences, centred, in random order, and with random signs: no effect, and their spread."""
    centred = differences - differences.mean()

    def draw(r: Generator, runs: int, n: int) -> Drawn:
        picked = centred[r.integers(0, len(centred), (runs, n))]
        return Drawn(picked * (2.0 * r.integers(0, 2, picked.shape) - 1.0))

    return draw
