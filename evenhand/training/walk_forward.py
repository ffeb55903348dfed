"""Walk-forward folds: learn from what was known, be judged by what came after.

A fold's test block covers [start, end). It may learn from a target only if that was known by `start - embargo`
(purging by the time when a label is known; Lopez de Prado 2018, chapter 7), whatever the horizon, and from rows of any
number of series, because only times count. Expanding folds keep all history, rolling ones the last `train_ms`.
"""

from collections.abc import Iterator
from typing import Annotated

import msgspec
import numpy as np
from msgspec import Meta

from evenhand.errors import EvenhandError, InvalidConfiguration
from evenhand.training.examples import Examples, FloatArray, IntArray, Learner

Positive = Annotated[int, Meta(ge=1)]


class LooksAhead(EvenhandError):
    """A fold that would learn from what was not known yet."""


class Fold(msgspec.Struct, frozen=True):
    """One block of the walk: row numbers to learn from and to be judged by. Times in ms.

    `known_by` is the latest time at which a target may have become known to be learned from.
    """

    number: int
    start: int
    end: int
    known_by: int
    train: IntArray
    test: IntArray

    def training(self, examples: Examples) -> tuple[FloatArray, FloatArray]:
        """Rows and targets to learn from; a target that was known too late is NaN."""
        targets = examples.targets[self.train].copy()
        targets[examples.known_at[self.train] > self.known_by] = np.nan
        return examples.rows[self.train], targets


class WalkForward(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When the first test block starts, how long each is, and what it may learn from. All in ms.

    `train_ms` bounds how far back a fold looks; without it, it looks back to the beginning. An embargo is needed only
    where labels cluster beyond their own interval; walking forward, the purge is enough.
    """

    start_ms: int
    test_ms: Positive
    train_ms: Positive | None = None
    embargo_ms: Annotated[int, Meta(ge=0)] = 0
    minimum_rows: Positive = 50

    def folds(self, examples: Examples) -> Iterator[Fold]:
        """Fold after fold until no row is left; InvalidConfiguration if the first has too little to learn from."""
        start, number = self.start_ms, 0
        last = int(examples.made_at.max()) if len(examples) else start - 1
        while start <= last:
            fold = self._fold(examples, number, start)
            if len(fold.test):
                if len(fold.train) < self.minimum_rows:
                    raise InvalidConfiguration(
                        f"fold {number} has {len(fold.train)} rows to learn from, fewer than {self.minimum_rows}: "
                        "start later, or look further back"
                    )
                check(fold, examples)
                yield fold
                number += 1
            start += self.test_ms

    def _fold(self, examples: Examples, number: int, start: int) -> Fold:
        known_by, end = start - self.embargo_ms, start + self.test_ms
        known = (np.isfinite(examples.targets) & (examples.known_at <= known_by)).any(axis=1)
        if self.train_ms is not None:
            known &= examples.made_at >= start - self.train_ms
        test = (examples.made_at >= start) & (examples.made_at < end)
        train = np.flatnonzero(known)
        order = np.argsort(examples.made_at[train], kind="stable")
        return Fold(number, start, end, known_by, train[order], np.flatnonzero(test))


def check(fold: Fold, examples: Examples) -> None:
    """Raise LooksAhead if a fold would learn from a target that was not known, or from a row of its own test."""
    _, targets = fold.training(examples)
    used = np.where(np.isfinite(targets), examples.known_at[fold.train], np.iinfo(np.int64).min)
    if len(used) and used.max() > fold.start:
        raise LooksAhead(f"fold {fold.number} learns from a target known at {used.max()}, after {fold.start}")
    if len(fold.train) and examples.made_at[fold.train].max() >= fold.start:
        raise LooksAhead(f"fold {fold.number} learns from a row made in its own test block")


class Walk(msgspec.Struct, frozen=True):
    """What a learner forecast for all test rows: row numbers in order of time, values, and the fold of each.

    `spread` (rows, steps): how far off the learner itself takes them to be, if it says so.
    """

    rows: IntArray
    values: FloatArray
    folds: IntArray
    spread: FloatArray | None = None


def forecast_fold(examples: Examples, fold: Fold, learner: Learner, seed: int = 0) -> FloatArray:
    """Learn in one fold and forecast its test rows, shape (tests, steps). Folds are independent of each other."""
    rows, targets = fold.training(examples)
    values = np.asarray(learner(rows, targets, seed)(examples.rows[fold.test]), dtype=np.float64)
    if values.shape != (len(fold.test), examples.steps) or not np.isfinite(values).all():
        raise EvenhandError(
            f"fold {fold.number}: the learner answered shape {values.shape}, or NaN; expected finite numbers of shape "
            f"{(len(fold.test), examples.steps)}"
        )
    return values


def walk(examples: Examples, plan: WalkForward, learner: Learner, seed: int = 0) -> Walk:
    """Go through all folds."""
    return join([(fold, forecast_fold(examples, fold, learner, seed)) for fold in plan.folds(examples)], examples)


def join(parts: list[tuple[Fold, FloatArray]], examples: Examples) -> Walk:
    """Put folds together that were forecast one by one, in any order."""
    if not parts:
        raise InvalidConfiguration("no row lies in a test block: start earlier, or give a longer history")
    rows = np.concatenate([fold.test for fold, _ in parts])
    values = np.concatenate([values for _, values in parts])
    folds = np.concatenate([np.full(len(fold.test), fold.number) for fold, _ in parts])
    order = np.argsort(examples.made_at[rows], kind="stable")
    return Walk(rows[order], values[order], folds[order])
