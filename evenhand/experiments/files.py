"""A trial of what is known already: predictions and outcomes in columns, judged as if they came one after the other.

Each moment is an epoch: `fold`, `absorb` and `decide` are those of the loop, and stop where the loop would stop.
"""

from collections.abc import Iterator, Mapping

import msgspec
import numpy as np
from numpy.typing import NDArray

from evenhand.events import Action, VariantPosterior
from evenhand.experiments.comparison import compare
from evenhand.experiments.decision import TERMINAL, decide
from evenhand.experiments.evidence import Exposure, Pair, fold
from evenhand.experiments.experiment import Experiment, Rule, Variant
from evenhand.experiments.naive import Rows
from evenhand.experiments.standing import Standing, absorb
from evenhand.metrics import loss

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
MOST_LOOKS = 5000
BLOCK = 4
"""Horizons in a block."""


class Columns(msgspec.Struct, frozen=True, kw_only=True):
    """Rows in order of `time`. `moment` numbers the times from 0, `cluster` what shares an outcome.

    `outcome` is NaN where it never came. `values` are by variant, NaN where it failed; `asked` says on which rows it
    has a row at all: what it was not asked is no failure.
    """

    time: Integers
    moment: Integers
    cluster: Integers
    outcome: Floats
    values: dict[str, Floats]
    asked: dict[str, NDArray[np.bool_]]


def in_order(
    time: Integers, cluster: Integers, outcome: Floats, values: Mapping[str, Floats],
    asked: Mapping[str, NDArray[np.bool_]],
) -> Columns:  # fmt: skip
    """Columns sorted by time, which is that of the last row of a cluster: it counts once, when it is whole."""
    of = np.unique(cluster, return_inverse=True)[1]
    latest = np.full(of.max(initial=-1) + 1, np.iinfo(np.int64).min)
    np.maximum.at(latest, of, time)
    order = np.lexsort((np.arange(len(of)), of, latest[of]))
    ordered = latest[of][order]
    return Columns(
        time=ordered,
        moment=np.unique(ordered, return_inverse=True)[1].astype(np.int64),
        cluster=of[order].astype(np.int64),
        outcome=outcome[order],
        values={name: column[order] for name, column in values.items()},
        asked={name: column[order] for name, column in asked.items()},
    )


class Stop(msgspec.Struct, frozen=True, kw_only=True):
    """A decision that ends a challenger's trial, or the last one, and how many rows and moments had come by then."""

    action: Action
    variant: str | None
    reasons: tuple[str, ...]
    rows: int
    moments: int


class Judged(msgspec.Struct, frozen=True, kw_only=True):
    """What was decided, in order; the last entry is how it ended. `whole` is what all rows say of each challenger.

    `losses` are the variants' own mean losses by clusters, `base` the champion's at the first look.
    """

    stops: tuple[Stop, ...]
    whole: dict[str, VariantPosterior]
    losses: dict[str, float]
    base: float


def experiment_of(
    names: list[str], metric: str, rule: Rule, moments: int, horizon: int = 1, looks: int = MOST_LOOKS
) -> Experiment:
    """The first name is the champion. A moment is a second; forecasts of several steps are judged in blocks.

    Beyond so many looks, a look takes in several moments.
    """
    block = BLOCK * horizon if horizon > 1 else 0
    step = -(-moments // looks)
    if block:
        step = 1 if moments <= looks else block * -(-step // block)
        block = max(block, step)
    return Experiment(
        name="files", model="files", champion=names[0], success_metric=metric, epoch_s=step, grace_s=0, block_s=block,
        variants=tuple(Variant(name=name, version=name, weight=1) for name in names), rule=rule,
    )  # fmt: skip


def judge(experiment: Experiment, columns: Columns) -> Judged:
    """Take the rows epoch by epoch until everything is decided; then the rest, for what the whole says."""
    standing, stops, is_over = Standing(), list[Stop](), False
    last = Stop(action="no_data", variant=None, reasons=("no row has an outcome",), rows=0, moments=0)
    for epoch, start, end in _epochs(columns.moment, experiment.epoch_s):
        exposures, pairs = _entries(experiment, columns, start, end)
        standing = absorb(experiment, standing, epoch, fold(experiment, exposures, pairs))
        if is_over:
            continue
        verdict = decide(experiment, standing)
        standing = verdict.standing
        last = Stop(
            action=verdict.action, variant=verdict.variant, reasons=verdict.reasons, rows=end,
            moments=int(columns.moment[end - 1]) + 1,
        )  # fmt: skip
        if verdict.action in TERMINAL:
            stops.append(last)
            is_over = verdict.action == "promote" or set(standing.stopped) >= set(experiment.challengers)
        is_over = is_over or verdict.action == "frozen"
    if not stops or last is not stops[-1]:
        stops.append(last)
    challengers = experiment.challengers
    return Judged(
        stops=tuple(stops),
        whole={name: compare(experiment, standing, name, len(challengers)).posterior for name in challengers},
        losses={variant.name: standing.loss(experiment, variant.name) for variant in experiment.variants},
        base=standing.base if standing.base is not None else abs(standing.loss(experiment, experiment.champion)),
    )


def compared(experiment: Experiment, columns: Columns, name: str) -> Rows:
    """A challenger's losses and the champion's, row by row, where both have one."""
    metric = loss(experiment.success_metric)
    champion, own = (
        metric.losses(columns.values[each], columns.outcome) for each in (experiment.champion, name)
    )  # fmt: skip
    known = ~np.isnan(own - champion)
    return Rows(
        columns.moment[known], columns.cluster[known], champion[known], own[known], np.flatnonzero(known) + 1
    )  # fmt: skip


def counts(columns: Columns, name: str) -> Mapping[str, int]:
    """A variant's books: asked = failed + matured + never."""
    asked, value = columns.asked[name], columns.values[name]
    failed, came = asked & np.isnan(value), ~np.isnan(columns.outcome)
    return {
        "asked": int(asked.sum()), "failed": int(failed.sum()), "matured": int((asked & ~failed & came).sum()),
        "never": int((asked & ~failed & ~came).sum()),
    }  # fmt: skip


def _epochs(moment: Integers, step: int) -> Iterator[tuple[int, int, int]]:
    epochs = moment // step
    starts = np.flatnonzero(np.diff(epochs, prepend=-1))
    for start, end in zip(starts.tolist(), [*starts[1:].tolist(), len(epochs)], strict=True):
        yield int(epochs[start]), start, end


def _entries(experiment: Experiment, columns: Columns, start: int, end: int) -> tuple[list[Exposure], list[Pair]]:
    part = slice(start, end)
    values = {name: column[part].tolist() for name, column in columns.values.items()}
    asked = {name: column[part].tolist() for name, column in columns.asked.items()}
    exposures, pairs = [], []
    rows = zip(columns.moment[part].tolist(), columns.cluster[part].tolist(), columns.outcome[part].tolist(),
               strict=True)  # fmt: skip
    for place, (moment, cluster, outcome) in enumerate(rows):
        said = {name: values[name][place] for name in values if asked[name][place]}
        failed = {name: value != value for name, value in said.items()}  # noqa: PLR0124 - NaN
        exposures.append(Exposure(moment, experiment.champion, failed))
        if outcome == outcome:  # noqa: PLR0124 - NaN
            known: dict[str, float | None] = {name: value for name, value in said.items() if not failed[name]}
            pairs.append(Pair(moment, str(cluster), outcome, known, (0, "", "", "")))
    return exposures, pairs
