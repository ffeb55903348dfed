"""What a rule does, played on streams whose truth is known: errors, power, sample size and coverage.

Every stream is one of paired differences, one after the other, with a look after each. The boundary is
`sequential.half_width`, which is what the judge calls; a test asserts it. Futility and the checks of what is missing
stop as the judge's do. Beside it the naive rule: stop as soon as a flat-prior posterior says P > 0.95 for either side.
Cost: 0.2 µs a look.
"""

from typing import Any, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from evenhand.experiments import streams
from evenhand.experiments.blocks import EDGES
from evenhand.experiments.decision import HALFWAY, UNLIKELY
from evenhand.experiments.experiment import Rule
from evenhand.experiments.posterior import belief, sceptical_prior
from evenhand.experiments.sequential import Design, half_width, planned_size
from evenhand.experiments.streams import Draw, Drawn, Floats

Bools = NDArray[np.bool_]
RuleName = Literal["evenhand", "naive"]
_CHUNK = 400_000  # looks at a time: memory stays below 50 MB
_Z80 = 2.8015852  # z_0.975 + z_0.8
NAIVE_Z = 1.6448536  # P(better) above 0.95 under a flat prior
NAIVE_FIRST = 10
STREAMS: dict[str, Draw] = {
    "normal": streams.normal, "binary": streams.binary, "lognormal": streams.lognormal, "t5": streams.t5,
    "pareto": streams.pareto, "horizon-7": streams.overlapping(7), "horizon-24": streams.overlapping(24),
    "clustered": streams.clustered, "missing": streams.missing, "delayed": streams.delayed,
    "attrition": streams.attrition,
}  # fmt: skip
BLOCKED = {"horizon-7", "horizon-24"}
NULL_ONLY = {"attrition"}
"""What is frozen is never answered: it has an error, and no power."""
OVERCONFIDENT = {"horizon-7": 7**0.5, "horizon-24": 24**0.5, "clustered": (1.05 / 0.1) ** 0.5}
"""By how much who counts forecasts or requests, each as one observation, overstates z."""


class Outcome(msgspec.Struct, frozen=True):
    """Of one rule, counts over runs: that rejected, and whose interval held the truth at every look until then.

    `ever` counts both as if nobody had stopped: what would have been rejected, and what was covered at all looks.
    `mean_size` is until a decision of any kind.
    """

    rejected: int
    covered: int
    ever_rejected: int
    ever_covered: int
    mean_size: float


class Result(msgspec.Struct, frozen=True):
    """Both rules on the same runs of a stream. `size` is the planned end, that of a fixed test."""

    name: str
    kind: str
    runs: int
    size: int
    evenhand: Outcome
    naive_rule: Outcome

    @property
    def rejected(self) -> int:
        """By the judge's rule."""
        return self.evenhand.rejected

    @property
    def naive(self) -> int:
        """Rejected by the naive rule."""
        return self.naive_rule.rejected

    @property
    def covered(self) -> int:
        """By the interval of the judge's test."""
        return self.evenhand.covered

    @property
    def mean_size(self) -> float:
        """Until the judge's rule decided."""
        return self.evenhand.mean_size


def play(
    name: str, *, effect: float, size: int, runs: int, seed: int, alpha: float = 0.05, minimum: int = 100,
    draw: Draw | None = None,
) -> Result:  # fmt: skip
    """So many runs of a stream; `effect` in units of what a fixed test of `size` finds with 80 % power."""
    r, drawn_by = np.random.default_rng(seed), draw or STREAMS[name]
    scale = EDGES**0.5 if name in BLOCKED else 1.0
    sd = scale * float(np.std(drawn_by(np.random.default_rng(0), 400, min(size, 500)).x))
    step = _Z80 * sd / np.sqrt(size)
    truth = -effect * step
    design = Design(alpha, step, minimum=minimum, planned=size)
    counts, sizes, left = np.zeros((2, 4), np.int64), np.zeros(2), runs
    while left:
        count = min(left, max(1, _CHUNK // size))
        drawn = drawn_by(r, count, size)
        moved = drawn._replace(x=drawn.x + truth)
        naive = _naively(moved.x, truth, OVERCONFIDENT.get(name, 1.0))
        for place, (found, ends) in enumerate((_judged(design, moved, truth, scale), naive)):
            counts[place] += found.sum(axis=1)
            sizes[place] += float(ends.sum())
        left -= count
    ours, naives = (
        Outcome(int(of[0]), int(of[1]), int(of[2]), int(of[3]), float(total) / runs)
        for of, total in zip(counts, sizes, strict=True)
    )
    return Result(name, "alternative" if effect else "null", runs, size, ours, naives)


def _running(x: Floats, truth: float) -> tuple[Floats, Floats, Floats]:
    """Count, mean and standard deviation so far, at every look."""
    n, centred = np.arange(1.0, x.shape[1] + 1.0), x - truth
    total, squares = np.cumsum(centred, axis=1), np.cumsum(centred * centred, axis=1)
    mean = total / n
    return n, mean + truth, np.sqrt(np.maximum(squares - n * mean * mean, 0.0) / np.maximum(n - 1.0, 1.0))


def _judged(design: Design, drawn: Drawn, truth: float, scale: float) -> tuple[Bools, Any]:
    """Of each row whether it was rejected, covered, ever rejected, ever covered; and when a decision was made."""
    n, mean, plain = _running(drawn.x, truth)
    sd = scale * plain
    half = boundary(design, np.broadcast_to(n, mean.shape), sd)
    rejects, low, high = np.abs(mean) > half, mean - half, mean + half
    if drawn.frozen is not None and drawn.missing is not None:
        low, high = -at_worst(-mean, -low, sd, drawn.missing), at_worst(mean, high, sd, drawn.missing)
        rejects &= ~drawn.frozen & ~((mean < 0.0) & (high >= 0.0))
    return _told(rejects | futile(design, n, mean, sd), rejects, (low <= truth) & (truth <= high))


def _looks(design: Design, x: Floats, truth: float, scale: float, overconfident: float) -> tuple[Any, Any, Any, Any]:
    """Of each row, by the boundary alone: rejected, by the naive rule, the truth always covered, its end."""
    n, mean, plain = _running(x, truth)
    half = boundary(design, np.broadcast_to(n, mean.shape), scale * plain)
    rejects = np.abs(mean) > half
    found, ends = _told(rejects, rejects, np.abs(mean - truth) <= half)
    return found[0], _naively(x, truth, overconfident)[0][0], found[3], ends


def _naively(x: Floats, truth: float, overconfident: float) -> tuple[Bools, Any]:
    n, mean, sd = _running(x, truth)
    half = NAIVE_Z / overconfident * sd / np.sqrt(n)
    is_look = n >= NAIVE_FIRST
    rejects = (np.abs(mean) > half) & is_look
    return _told(rejects, rejects, (np.abs(mean - truth) <= half) | ~is_look)


def _told(stops: Bools, rejects: Bools, covers: Bools) -> tuple[Bools, Any]:
    """Whether the first stop of each row is a rejection and all was covered until then, and so without a stop."""
    rows, looks = np.arange(len(stops)), stops.shape[1]
    first = np.where(stops.any(axis=1), stops.argmax(axis=1), looks - 1)
    lost = np.where(covers.all(axis=1), looks, covers.argmin(axis=1))
    ever = rejects.any(axis=1), lost == looks
    return np.stack([rejects[rows, first], lost > first, *ever]), first + 1


def futile(design: Design, n: Floats, mean: Floats, sd: Floats) -> Bools:
    """Where the judge gives up: an improvement of half of what matters has become unlikely, half of the way there."""
    with np.errstate(invalid="ignore", divide="ignore"):
        found = belief(mean, sd * sd / n, sceptical_prior(design.effect))
        is_late = n >= np.maximum(design.minimum, HALFWAY * planned_size(design, sd))
        return np.asarray((found.probability_below(-0.5 * design.effect) < UNLIKELY) & is_late)


def at_worst(mean: Floats, upper: Floats, sd: Floats, fraction: Floats) -> Floats:
    """`missing.at_worst` at every look of each row, of a loss without a bound."""
    worst = np.maximum(mean + Rule().missing_deviations * sd, upper)
    with np.errstate(invalid="ignore"):  # infinity is what an interval ends at before the first look
        return np.where(fraction > 0.0, (1.0 - fraction) * upper + fraction * worst, upper)


def boundary(design: Design, n: Floats, sd: Floats) -> Floats:
    """Half widths at every look of each row, shape (runs, looks), the planned end as each row itself finds it."""
    is_end = n >= np.maximum(planned_size(design, sd), design.minimum)
    is_past = np.zeros(n.shape, np.bool_)
    is_past[:, 1:] = np.maximum.accumulate(is_end, axis=1)[:, :-1]
    with np.errstate(invalid="ignore", divide="ignore"):  # where nothing differs yet: NaN, which nothing exceeds
        return np.asarray(half_width(design, n, sd, is_past_end=is_past))


def table(
    runs: int,
    seed: int,
    names: "list[str] | None" = None,
    rule: RuleName = "evenhand",
    own: "dict[str, Floats] | None" = None,
) -> list[dict[str, Any]]:
    """Rows for every stream, under no effect and at the design point, as `simulate --json` prints them.

    `own` are paired differences of a user's own, by name, which are judged as they are, too.
    """
    rows = []
    for place, name in enumerate(STREAMS):
        if (names or own) and name not in (names or []):
            continue
        size = 800 if name in BLOCKED else 2450
        null = 800 if name in BLOCKED else 9800
        rows.append(row(play(name, effect=0.0, size=null, runs=runs, seed=seed + 2 * place), rule))
        if name not in NULL_ONLY:
            at = seed + 2 * place + 1
            found = row(play(name, effect=1.0, size=size, runs=runs, seed=at), rule)
            twice = row(play(name, effect=2.0, size=size, runs=max(10, runs // 4), seed=at), rule)
            rows.append({**found, "sample_ratio_twice": twice["sample_ratio"]})
    for name, differences in (own or {}).items():
        draw, size = streams.of_file(differences), len(differences)
        for effect in (0.0, 1.0):
            found = row(play(name, effect=effect, size=size, runs=runs, seed=seed, draw=draw), rule)
            rows.append({**found, **as_it_is(differences)})
    return rows


def as_it_is(differences: Floats) -> dict[str, Any]:
    """What the rule says of a stream as it is, planned for what a fixed test of its length finds, and after how many.

    >>> as_it_is(np.tile([-0.5, 0.3], 200))
    {'says': 'better', 'after': 142}
    """
    size = len(differences)
    design = Design(0.05, _Z80 * float(np.std(differences)) / size**0.5, minimum=100, planned=size)
    n, mean, sd = _running(differences[None, :], 0.0)
    half = boundary(design, np.broadcast_to(n, mean.shape), sd)
    rejects, gives_up = np.abs(mean) > half, futile(design, n, mean, sd)
    (found, *_), ends = _told(rejects | gives_up, rejects, rejects)
    at = int(ends[0])
    if found[0]:
        return {"says": "better" if mean[0, at - 1] < 0.0 else "worse", "after": at}
    return {"says": "futile" if gives_up[0, at - 1] else "nothing", "after": at}


def row(result: Result, rule: RuleName = "evenhand") -> dict[str, Any]:
    """Rates, and the upper end of a one-sided 95 % Clopper-Pearson interval of the error.

    A decision ends a trial, so errors and coverage are counted until then; with `_ever`, as if it went on regardless.
    """
    from scipy.stats import beta  # noqa: PLC0415 - half a second, and the judge does not need it

    found = result.evenhand if rule == "evenhand" else result.naive_rule
    is_null, rate = result.kind == "null", found.rejected / result.runs
    upper = float(beta.ppf(0.95, found.rejected + 1, result.runs - found.rejected)) if rate < 1 else 1.0
    return {
        "name": result.name,
        "kind": result.kind,
        "error": rate if is_null else None,
        "error_upper": upper if is_null else None,
        "naive_error": result.naive / result.runs if is_null else None,
        "power": None if is_null else rate,
        "sample_ratio": found.mean_size / result.size,
        "coverage": found.covered / result.runs,
        "error_ever": found.ever_rejected / result.runs if is_null else None,
        "coverage_ever": found.ever_covered / result.runs,
    }
