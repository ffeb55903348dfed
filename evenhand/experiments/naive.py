"""The naive rule: a fixed test of 5 %, repeated after every moment until it is significant, every row counted as one.

What it says of the rows that were seen, and, on streams like them whose truth is known, how often it promotes a
challenger that is no better. The streams are moving blocks of the user's own rows (Künsch 1989), with their spread,
their clusters and their dependence in time. The challenger's losses are scaled to the champion's mean, and in each
block a coin says who of the two is called the challenger: neither is better, whatever the tails.
"""

from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from evenhand.experiments.blocks import EDGES
from evenhand.experiments.sequential import Design
from evenhand.experiments.simulate import boundary

Floats = NDArray[np.float64]
Z = float(ndtri(0.975))
FIRST = 30  # rows before its first look
MOST_LOOKS = 4000
_CHUNK = 200_000


class Rows(NamedTuple):
    """Losses row by row, in order of time: their moments and clusters, and how many rows had come by then."""

    moment: NDArray[np.int64]
    cluster: NDArray[np.int64]
    champion: Floats
    challenger: Floats
    rows: NDArray[np.int64]


class Naive(msgspec.Struct, frozen=True, kw_only=True):
    """What it said first and after how many rows; how often it changed its mind; what it says at the end."""

    said: str | None
    rows: int | None
    changes: int
    at_end: str | None


class Promoted(msgspec.Struct, frozen=True, kw_only=True):
    """Of so many streams whose challenger is worse by `worse_by` of the champion's loss: the fraction promoted."""

    worse_by: float
    naive: float
    evenhand: float
    runs: int
    looks: int


def said(rows: Rows) -> Naive:
    """The naive rule on the rows that were seen."""
    value = rows.challenger - rows.champion
    n = np.arange(1.0, len(value) + 1.0)
    mean, sd = _running(n, np.cumsum(value), np.cumsum(value * value))
    side = np.where((np.abs(mean) * np.sqrt(n) > Z * sd) & (n >= FIRST), np.sign(mean), 0.0).astype(np.int64)
    significant = np.flatnonzero(side)
    words = {-1: "better", 1: "worse", 0: None}
    if not len(significant):
        return Naive(said=None, rows=None, changes=0, at_end=None)
    first = int(significant[0])
    return Naive(
        said=words[int(side[first])], rows=int(rows.rows[first]),
        changes=int(np.count_nonzero(np.diff(side[first:]))), at_end=words[int(side[-1])],
    )  # fmt: skip


def promoted(
    rows: Rows, design: Design, *, worse_by: float, block: int = 0, runs: int = 1000, seed: int = 1
) -> Promoted:
    """How often each rule promotes a challenger that loses that fraction more, on streams like the rows.

    `block` is that of the trial, in moments; 0 where clusters are what counts.
    """
    mean = rows.challenger.mean()
    scaled = rows._replace(challenger=rows.challenger * (rows.champion.mean() / mean if mean else 1.0))
    every = _steps(scaled)
    step = -(-len(every[0]) // MOST_LOOKS)
    if block and block % step:
        step = next((each for each in range(step, block) if block % each == 0), block * -(-step // block))
    either = np.stack([
        np.hstack([_called(_grouped(sums, step), sign, worse_by) for sums in every]) for sign in (1.0, -1.0)
    ])  # fmt: skip
    size = either.shape[1]
    length = min(size, max(1, -(-2 * block // step), round(size ** (1 / 3))))
    r, left, hits = np.random.default_rng(seed), runs, np.zeros(2)
    while left:
        count = min(left, max(1, _CHUNK // size))
        shape = count, -(-size // length)
        picked = (r.integers(0, size, shape)[..., None] + np.arange(length)).reshape(count, -1)[:, :size] % size
        coins = np.repeat(r.integers(0, 2, shape), length, axis=1)[:, :size]
        drawn = either[coins, picked]
        hits += [_naive_promotes(drawn[..., 3:]), _promotes(design, drawn[..., :3], max(1, block // step), block)]
        left -= count
    return Promoted(
        worse_by=worse_by, naive=float(hits[0] / runs), evenhand=float(hits[1] / runs), runs=runs, looks=size
    )


def dependence(rows: Rows) -> float:
    """The correlation of neighbouring moments' differences: near 0 where forecasts do not overlap."""
    own, _ = _steps(rows)
    x = own[:, 1] / own[:, 0]
    x = x - x.mean()
    spread = float(x @ x)
    return float(x[1:] @ x[:-1]) / spread if spread else 0.0


def _steps(rows: Rows) -> tuple[Floats, Floats]:
    """By moment, of its clusters' means and of its rows: count, and sums of d, d^2, m, d m, m^2.

    d is challenger less champion, m the mean of both.
    """
    edges = np.flatnonzero(np.diff(rows.cluster, prepend=-1) | np.diff(rows.moment, prepend=-1))
    size = np.diff(edges, append=len(rows.cluster))
    at = rows.moment[edges]
    means = (np.add.reduceat(of, edges) / size for of in (rows.champion, rows.challenger))
    own, by_row = _products(*means), _products(rows.champion, rows.challenger)
    return (
        np.add.reduceat(own, np.flatnonzero(np.diff(at, prepend=-1))),
        np.add.reduceat(by_row, np.flatnonzero(np.diff(rows.moment, prepend=-1))),
    )


def _products(champion: Floats, challenger: Floats) -> Floats:
    d, m = challenger - champion, 0.5 * (challenger + champion)
    return np.stack([np.ones(len(d)), d, d * d, m, d * m, m * m], axis=1)


def _called(sums: Floats, sign: float, worse_by: float) -> Floats:
    """Count, sum and sum of squares of sign d + worse_by m."""
    n, d, dd, m, dm, mm = sums.T
    return np.stack([n, sign * d + worse_by * m, dd + 2.0 * sign * worse_by * dm + worse_by**2 * mm], axis=1)


def _grouped(sums: Floats, step: int) -> Floats:
    return np.add.reduceat(sums, np.arange(0, len(sums), step)) if step > 1 else sums


def _running(n: Any, total: Any, squares: Any) -> tuple[Any, Any]:
    mean = total / n
    return mean, np.sqrt(np.maximum(squares - n * mean * mean, 0.0) / np.maximum(n - 1.0, 1.0))


def _naive_promotes(drawn: Floats) -> int:
    n, total, squares = np.moveaxis(np.cumsum(drawn, axis=1), 2, 0)
    mean, sd = _running(n, total, squares)
    stops = (np.abs(mean) * np.sqrt(n) > Z * sd) & (n >= FIRST)
    return _better_first(mean, stops)


def _promotes(design: Design, drawn: Floats, per_block: int, block: int) -> int:
    if block:
        whole = drawn.shape[1] // per_block * per_block
        if not whole:
            return 0  # no block is over
        x = drawn[:, :whole].reshape(len(drawn), -1, per_block, 3).sum(axis=2)
        y, x = x[..., 0], x[..., 1]
        n = np.broadcast_to(np.arange(1.0, x.shape[1] + 1.0), x.shape)
        sx, sy = np.cumsum(x, axis=1), np.cumsum(y, axis=1)
        mean = sx / sy
        spread = np.cumsum(x * x, axis=1) - 2 * mean * np.cumsum(x * y, axis=1) + mean * mean * np.cumsum(y * y, axis=1)
        sd = np.sqrt(EDGES * np.maximum(spread, 0.0) / np.maximum(n - 1.0, 1.0)) * n / sy
    else:
        n, total, squares = np.moveaxis(np.cumsum(drawn, axis=1), 2, 0)
        mean, sd = _running(n, total, squares)
    half = boundary(design, n, sd)
    return _better_first(mean, (np.abs(mean) > half) & (sd > 0.0))


def _better_first(mean: Floats, stops: NDArray[np.bool_]) -> int:
    """How many rows stop, and on the challenger's side."""
    first = stops.argmax(axis=1)[:, None]
    return int((np.take_along_axis(stops, first, axis=1) & (np.take_along_axis(mean, first, axis=1) < 0.0)).sum())
