"""Finds what a pipeline knows before it can: leaks, by the name of the feature or step that has them.

Nothing is read from code. Everything is shown: a feature is computed again from a past that was cut off or followed by
another future, a step is fitted again beside other test rows, labels are moved and shuffled. What changes, leaks.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Literal, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt
from msgspec import Meta

from evenhand.errors import EvenhandError
from evenhand.training.examples import FloatArray, IntArray, Learner

Test = Literal["truncation", "future_perturbation", "label_shift", "fold_fit", "shuffled_labels"]
Columns = Mapping[str, FloatArray]


class Leak(msgspec.Struct, frozen=True):
    """One leak: which test found it, in which feature or step, and what was seen."""

    test: Test
    where: str
    evidence: str


class LeakFound(EvenhandError):
    """A pipeline that knows its future. The message names every feature and step that leaks."""

    def __init__(self, leaks: Sequence[Leak]) -> None:
        """Name all of them."""
        self.leaks = tuple(leaks)
        lines = "".join(f"\n  {leak.where}: {leak.evidence} ({leak.test})" for leak in leaks)
        super().__init__(f"{len(leaks)} leaks; remove or repair what is named:{lines}")


class Source(NamedTuple):
    """What features are computed from: columns (n,) and the time in ms when each of their rows was known."""

    known_at: IntArray
    columns: Columns


class Computed(NamedTuple):
    """What came of it: rows (m, features), and the time in ms at which each claims to have been known."""

    made_at: IntArray
    rows: FloatArray


class Step(NamedTuple):
    """A step between features and learner: it may fit itself on the `train` rows, and gives all rows transformed."""

    name: str
    apply: Callable[[FloatArray, FloatArray, IntArray], FloatArray]  # rows, targets, train -> rows


class Pipeline(NamedTuple):
    """What is audited. What a pipeline does not have is left out: a table of features has no `compute`."""

    names: Sequence[str]
    compute: Callable[[Source], Computed] | None = None
    steps: Sequence[Step] = ()
    learner: Learner | None = None


class AuditSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How much is tried, and from when on a difference counts.

    `explained` is the share of a label's variance that one feature may explain beyond what earlier labels explain.
    `sigmas` is how far the gain on shuffled labels may lie above zero.
    """

    cuts: Annotated[int, Meta(ge=1)] = 8
    tolerance: Annotated[float, Meta(gt=0.0)] = 1e-9
    explained: Annotated[float, Meta(gt=0.0, lt=1.0)] = 0.5
    shuffles: Annotated[int, Meta(ge=1)] = 5
    sigmas: Annotated[float, Meta(gt=0.0)] = 5.0


def audit(
    pipeline: Pipeline,
    source: Source | None,
    rows: FloatArray,
    targets: FloatArray,
    seed: int,
    settings: AuditSettings | None = None,
) -> list[Leak]:
    """Run every test that the pipeline has parts for. `rows` and `targets` (n, steps) are its table, in time order."""
    settings = settings or AuditSettings()
    random = np.random.default_rng(seed)
    leaks: list[Leak] = []
    if pipeline.compute and source:
        leaks += audit_features(pipeline, source, random, settings)
    leaks += audit_labels(pipeline.names, rows, targets, settings)
    step_leaks = audit_steps(pipeline.steps, rows, targets, random, settings)
    leaks += step_leaks
    if pipeline.learner and not step_leaks:
        leaks += audit_learner(pipeline, rows, targets, random, settings)
    return leaks


def require_clean(leaks: Sequence[Leak]) -> None:
    """Raise LeakFound if there is one."""
    if leaks:
        raise LeakFound(leaks)


def audit_features(
    pipeline: Pipeline, source: Source, random: np.random.Generator, settings: AuditSettings
) -> list[Leak]:
    """Cut the source off, and change what follows: a row made before must stay as it is."""
    if pipeline.compute is None:
        return []
    whole = pipeline.compute(source)
    found: dict[str, Leak] = {}
    for cut in _cuts(source, whole, random, settings.cuts):
        known = source.known_at <= cut
        for test, other in (
            ("truncation", Source(source.known_at[known], {k: v[known] for k, v in source.columns.items()})),
            ("future_perturbation", Source(source.known_at, _another_future(source.columns, ~known, random))),
        ):
            for name, when in _changed(whole, pipeline.compute(other), cut, pipeline.names, settings.tolerance):
                evidence = f"the value of {when} is another when what was known after {cut} is " + (
                    "taken away" if test == "truncation" else "another"
                )
                found.setdefault(name, Leak(test, name, evidence))  # type: ignore[arg-type]
    return list(found.values())


def _cuts(source: Source, whole: Computed, random: np.random.Generator, count: int) -> list[int]:
    """Times spread over the history, and times at which something was missing."""
    times = np.unique(source.known_at)
    places = np.unique(random.integers(len(times) // 4, max(len(times) // 4 + 1, len(times) - 1), size=count))
    made = np.unique(whole.made_at)
    # What fills a hole from the future shows where there is a hole.
    holes = source.known_at[np.logical_or.reduce([np.isnan(values) for values in source.columns.values()])]
    holes = holes[holes >= times[len(times) // 4]]
    holes = random.choice(holes, size=min(4 * count, len(holes)), replace=False) if len(holes) else holes
    return [int(cut) for cut in (*times[places], *made[[len(made) // 2, len(made) * 3 // 4]], *holes)]


def _another_future(columns: Columns, later: npt.NDArray[np.bool_], random: np.random.Generator) -> Columns:
    """Scale all numbers by one random factor a row, so that high stays above low, and another scale for the future."""
    factor = np.where(later, np.exp(random.normal(1.0, 0.3, size=len(later))), 1.0)
    return {name: np.where(later, values * factor, values) for name, values in columns.items()}


def _changed(
    whole: Computed, other: Computed, cut: int, names: Sequence[str], tolerance: float
) -> list[tuple[str, int]]:
    """Name the features whose rows made by `cut` differ, with the last such time."""
    before, after = whole.made_at <= cut, other.made_at <= cut
    times, ours, theirs = np.intersect1d(whole.made_at[before], other.made_at[after], return_indices=True)
    if len(times) < before.sum():  # rows that exist only because of what came later
        lost = np.setdiff1d(whole.made_at[before], times)
        return [(name, int(lost[-1])) for name in names]
    a, b = whole.rows[before][ours], other.rows[after][theirs]
    scale = np.nanmax(np.abs(a), axis=0, initial=1e-300)
    differs = (np.isnan(a) != np.isnan(b)) | (np.abs(a - b) > tolerance * np.maximum(np.abs(a), scale * 1e-3))
    return [
        (name, int(times[np.flatnonzero(differs[:, place])[-1]]))
        for place, name in enumerate(names)
        if differs[:, place].any()
    ]


def audit_labels(names: Sequence[str], rows: FloatArray, targets: FloatArray, settings: AuditSettings) -> list[Leak]:
    """Compare each feature with labels that lie ahead, after what the labels known by then explain is taken out.

    Ranks, so that any monotone disguise is seen through; sizes as well as values of the labels.
    """
    leaks = []
    known = np.isfinite(targets).all(axis=1)
    label = targets[known, 0]
    past = [np.roll(label, lag) for lag in (1, 2, 3)]
    for place, name in enumerate(names):
        feature = rows[known, place]
        if len(label) < 50 or not np.isfinite(feature).all() or np.ptp(feature) == 0:
            continue
        for disguise, ahead in (("", label), ("the size of ", np.abs(label))):
            before = [np.abs(one) for one in past] if disguise else past
            shares = [
                _explained(
                    feature[3 : len(label) - shift], ahead[3 + shift :], [b[3 : len(label) - shift] for b in before]
                )
                for shift in range(3)
            ]
            best = int(np.argmax(shares))
            if shares[best] > settings.explained:
                ahead_of = f"{disguise}the label {best} rows ahead" if best else f"{disguise}its own label"
                leaks.append(Leak("label_shift", name, f"explains {shares[best]:.0%} of {ahead_of}, which is to come"))
                break
    return leaks


def _ranks(values: FloatArray) -> FloatArray:
    ranks = np.empty(len(values))
    ranks[np.argsort(values, kind="stable")] = np.arange(len(values))
    centred: FloatArray = ranks - ranks.mean()
    return centred


def _explained(feature: FloatArray, ahead: FloatArray, before: list[FloatArray]) -> float:
    """Squared partial rank correlation of feature and label, given the labels before."""
    given = np.column_stack([_ranks(one) for one in before])
    x, y = (r - given @ np.linalg.lstsq(given, r, rcond=None)[0] for r in (_ranks(feature), _ranks(ahead)))
    power = float((x**2).sum() * (y**2).sum())
    total = float((_ranks(feature) ** 2).sum() * (_ranks(ahead) ** 2).sum())
    # What past labels explain almost wholly leaves only rounding behind.
    return float((x * y).sum()) ** 2 / power if power > 1e-12 * total else 0.0


def audit_steps(
    steps: Sequence[Step], rows: FloatArray, targets: FloatArray, random: np.random.Generator, settings: AuditSettings
) -> list[Leak]:
    """Fit each step again beside other test rows and labels: what it makes of the training rows must stay as it is.

    And what it makes of one test row must not hang on the other test rows. A step is audited on the output of those
    before it.
    """
    leaks = []
    count = len(rows)
    train = np.arange(int(count * 0.6), dtype=np.int64)
    kept, others = np.arange(len(train), len(train) + 5), np.arange(len(train) + 5, count)
    for step in steps:
        plain = step.apply(rows.copy(), targets.copy(), train)
        moved_rows, moved_targets = rows.copy(), targets.copy()
        moved_rows[others] = moved_rows[random.permutation(others)] * 3.0 + 1.0
        moved_targets[len(train) :] = -2.0 * moved_targets[random.permutation(np.arange(len(train), count))] + 1.0
        again = step.apply(moved_rows, moved_targets, train)
        shape = plain.shape == again.shape and len(plain) == count
        if not shape or _differ(plain[train], again[train], settings.tolerance):
            leaks.append(Leak("fold_fit", step.name, "its training rows change when rows or labels of the test do"))
        elif _differ(plain[kept], again[kept], settings.tolerance):
            leaks.append(Leak("fold_fit", step.name, "a test row changes when labels or other rows of the test do"))
        if len(plain) == count:
            rows = plain
    return leaks


def _differ(a: FloatArray, b: FloatArray, tolerance: float) -> bool:
    return not np.allclose(
        a, b, rtol=tolerance, atol=tolerance * float(np.nanmax(np.abs(a), initial=0.0)), equal_nan=True
    )


def audit_learner(
    pipeline: Pipeline, rows: FloatArray, targets: FloatArray, random: np.random.Generator, settings: AuditSettings
) -> list[Leak]:
    """Shuffle the labels and learn: whoever still forecasts them has seen them."""
    if pipeline.learner is None:
        return []
    known = np.isfinite(targets).all(axis=1)
    rows, targets = rows[known], targets[known]
    cut = int(len(rows) * 0.6)
    train = np.arange(cut, dtype=np.int64)
    gains = []
    for _ in range(settings.shuffles):
        labels = targets[random.permutation(len(targets))]
        made = rows
        for step in pipeline.steps:
            made = step.apply(made, labels, train)
        values = pipeline.learner(made[:cut], labels[:cut], int(random.integers(2**31)))(made[cut:])[:, 0]
        truth = labels[cut:, 0] - labels[:cut, 0].mean()
        values = values - values.mean()
        spread = float(values.std() * truth.std())
        gains.append(float((values * truth).mean()) / spread * len(truth) ** 0.5 if spread > 0 else 0.0)
    sigmas = float(np.mean(gains)) * len(gains) ** 0.5
    if sigmas > settings.sigmas:
        where = " -> ".join([*(step.name for step in pipeline.steps), "learner"])
        return [Leak("shuffled_labels", where, f"forecasts shuffled labels, {sigmas:.0f} standard errors above chance")]
    return []
