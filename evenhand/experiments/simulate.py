"""What a rule does, played on streams whose truth is known: errors, power, sample size and coverage.

Every stream is one of paired differences, one after the other, with a look after each. The boundary is
`sequential.half_width`, which is what the judge calls; a test asserts it. Beside it the naive rule: stop as soon as a
flat-prior posterior says P > 0.95 for either side. Cost: 0.3 µs a look.
"""

from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from evenhand.experiments.blocks import EDGES
from evenhand.experiments.sequential import Design, half_width, planned_size

Floats = NDArray[np.float64]
Draw = Callable[[np.random.Generator, int, int], Floats]
_CHUNK = 400_000  # looks at a time: memory stays below 50 MB
_Z80 = 2.8015852  # z_0.975 + z_0.8
NAIVE_Z = 1.6448536  # P(better) above 0.95 under a flat prior


class Result(msgspec.Struct, frozen=True):
    """Counts over runs. `covered` are runs whose interval held the truth at every look."""

    name: str
    kind: str
    runs: int
    rejected: int
    naive: int
    covered: int
    mean_size: float
    size: int


def _normal(r: np.random.Generator, runs: int, n: int) -> Floats:
    return r.normal(size=(runs, n))


def _binary(r: np.random.Generator, runs: int, n: int) -> Floats:
    """Two forecasts of a coin, right half of the time each, agreeing in two of three cases."""
    drawn = r.random((runs, n))
    differences: Floats = np.where(drawn < 1 / 6, 1.0, np.where(drawn > 5 / 6, -1.0, 0.0))
    return differences


def _lognormal(r: np.random.Generator, runs: int, n: int) -> Floats:
    return r.lognormal(size=(runs, n)) - r.lognormal(size=(runs, n))


def _t5(r: np.random.Generator, runs: int, n: int) -> Floats:
    return r.standard_t(5, size=(runs, n))


def _pareto(r: np.random.Generator, runs: int, n: int) -> Floats:
    return r.pareto(2.5, size=(runs, n)) - r.pareto(2.5, size=(runs, n))


def _overlapping(horizon: int) -> Draw:
    """h-step forecasts, each with its own loss: what is judged are means of blocks of 4 h of them."""

    def draw(r: np.random.Generator, runs: int, n: int) -> Floats:
        noise = r.normal(size=(runs, n * 4 * horizon + horizon - 1))
        sums = np.cumsum(noise, axis=1)
        moving = sums[:, horizon - 1 :] - np.concatenate([np.zeros((runs, 1)), sums[:, :-horizon]], axis=1)
        blocks: Floats = moving.reshape(runs, n, 4 * horizon).mean(axis=2)
        return blocks

    return draw


def _clustered(r: np.random.Generator, runs: int, n: int) -> Floats:
    """Twenty requests that share an outcome: what is judged are their means."""
    shared, own = r.normal(size=(runs, n)), r.normal(size=(runs, n))
    means: Floats = shared + own / 20**0.5
    return means


def _missing(r: np.random.Generator, runs: int, n: int) -> Floats:
    """Three outcomes in ten never come, more often where both are wrong: pairs are lost together."""
    drawn = r.normal(size=(runs, 2 * n))
    kept = np.argsort(r.random((runs, 2 * n)) < 0.2 + 0.1 * (np.abs(drawn) > 1), axis=1, kind="stable")[:, :n]
    return np.asarray(np.take_along_axis(drawn, kept, axis=1))


STREAMS: dict[str, Draw] = {
    "normal": _normal, "binary": _binary, "lognormal": _lognormal, "t5": _t5, "pareto": _pareto,
    "horizon-7": _overlapping(7), "horizon-24": _overlapping(24), "clustered": _clustered, "missing": _missing,
}  # fmt: skip
BLOCKED = {"horizon-7", "horizon-24"}
OVERCONFIDENT = {"horizon-7": 7**0.5, "horizon-24": 24**0.5, "clustered": (1.05 / 0.1) ** 0.5}
"""By how much who counts forecasts or requests, each as one observation, overstates z."""


def play(
    name: str, *, effect: float, size: int, runs: int, seed: int, alpha: float = 0.05, minimum: int = 100
) -> Result:
    """So many runs of a stream; `effect` in units of what a fixed test of `size` finds with 80 % power."""
    r, draw = np.random.default_rng(seed), STREAMS[name]
    scale = EDGES**0.5 if name in BLOCKED else 1.0
    sd = scale * float(np.std(draw(np.random.default_rng(0), 400, min(size, 500))))
    step = _Z80 * sd / np.sqrt(size)
    truth = -effect * step
    design = Design(alpha, step, minimum=minimum, planned=size)
    totals, sizes = np.zeros(3, np.int64), 0.0
    left = runs
    while left:
        count = min(left, max(1, _CHUNK // size))
        rejected, naive, covered, ends = _looks(
            design, draw(r, count, size) + truth, truth, scale, OVERCONFIDENT.get(name, 1.0)
        )
        totals += [rejected.sum(), naive.sum(), covered.sum()]
        sizes += float(ends.sum())
        left -= count
    return Result(
        name, "alternative" if effect else "null", runs, int(totals[0]), int(totals[1]), int(totals[2]),
        sizes / runs, size,
    )  # fmt: skip


def _looks(design: Design, x: Floats, truth: float, scale: float, overconfident: float) -> tuple[Any, Any, Any, Any]:
    """Of each row: whether it was rejected, and by the naive rule, whether the truth was always covered, its end."""
    n = np.arange(1.0, x.shape[1] + 1.0)
    centred = x - truth
    total, squares = np.cumsum(centred, axis=1), np.cumsum(centred * centred, axis=1)
    mean = total / n
    plain = np.sqrt(np.maximum(squares - n * mean * mean, 0.0) / np.maximum(n - 1.0, 1.0))
    sd = scale * plain
    half = boundary(design, np.broadcast_to(n, x.shape), sd)
    rejects = np.abs(mean + truth) > half
    naive = (np.abs(mean + truth) * np.sqrt(n) * overconfident > NAIVE_Z * plain) & (n >= 10)
    hit = rejects.any(axis=1)
    ends = np.where(hit, rejects.argmax(axis=1) + 1, x.shape[1])
    return hit, naive.any(axis=1), (np.abs(mean) <= half).all(axis=1), ends


def boundary(design: Design, n: Floats, sd: Floats) -> Floats:
    """Half widths at every look of each row, shape (runs, looks), the planned end as each row itself finds it."""
    is_end = n >= np.maximum(planned_size(design, sd), design.minimum)
    is_past = np.zeros(n.shape, np.bool_)
    is_past[:, 1:] = np.maximum.accumulate(is_end, axis=1)[:, :-1]
    with np.errstate(invalid="ignore", divide="ignore"):  # where nothing differs yet: NaN, which nothing exceeds
        return np.asarray(half_width(design, n, sd, is_past_end=is_past))


def table(runs: int, seed: int, names: "list[str] | None" = None) -> list[dict[str, Any]]:
    """A row for every stream, under no effect and at the design point, as `simulate --json` prints it."""
    rows = []
    for place, name in enumerate(names or list(STREAMS)):
        size = 800 if name in BLOCKED else 2450
        rows.append(
            row(play(name, effect=0.0, size=size if name in BLOCKED else 9800, runs=runs, seed=seed + 2 * place))
        )
        rows.append(row(play(name, effect=1.0, size=size, runs=runs, seed=seed + 2 * place + 1)))
    return rows


def row(result: Result) -> dict[str, Any]:
    """Rates, and the upper end of a one-sided 95 % Clopper-Pearson interval of the error."""
    from scipy.stats import beta  # noqa: PLC0415 - half a second, and the judge does not need it

    is_null, rate = result.kind == "null", result.rejected / result.runs
    upper = float(beta.ppf(0.95, result.rejected + 1, result.runs - result.rejected)) if rate < 1 else 1.0
    return {
        "name": result.name,
        "kind": result.kind,
        "error": rate if is_null else None,
        "error_upper": upper if is_null else None,
        "naive_error": result.naive / result.runs if is_null else None,
        "power": None if is_null else rate,
        "sample_ratio": result.mean_size / result.size,
        "coverage": result.covered / result.runs,
    }
