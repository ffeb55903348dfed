"""Folds learn from what was known, whatever the horizon, the gaps and the number of series."""

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evenhand.errors import EvenhandError, InvalidConfiguration
from evenhand.training.examples import Examples, FloatArray, Forecaster
from evenhand.training.walk_forward import LooksAhead, WalkForward, check, forecast_fold, join, walk

HOUR = 3_600_000


def table(hours: list[int], steps: int, seed: int = 0) -> Examples:
    """Rows at the given hours, in any order, with targets one hour a step."""
    random = np.random.default_rng(seed)
    made = np.array(hours, dtype=np.int64) * HOUR
    known = made[:, None] + HOUR * np.arange(1, steps + 1)
    rows = random.normal(size=(len(hours), 2))
    return Examples(made, known, rows, random.normal(size=known.shape))


@settings(deadline=None, max_examples=150)
@given(
    hours=st.lists(st.integers(0, 400), min_size=60, max_size=300),  # repeats: several series; holes: gaps
    steps=st.integers(1, 30),
    test=st.integers(1, 80),
    train=st.none() | st.integers(30, 400),
    embargo=st.integers(0, 20),
)
def test_no_fold_learns_from_what_was_not_known(
    hours: list[int], steps: int, test: int, train: int | None, embargo: int
) -> None:
    examples = table(hours, steps)
    plan = WalkForward(
        start_ms=200 * HOUR,
        test_ms=test * HOUR,
        train_ms=train and train * HOUR,
        embargo_ms=embargo * HOUR,
        minimum_rows=1,
    )
    tested: list[int] = []
    try:
        for fold in plan.folds(examples):
            rows, targets = fold.training(examples)
            used = np.isfinite(targets)
            assert used.any(axis=1).all()
            assert len(rows) == len(targets)
            assert examples.known_at[fold.train][used].max() <= fold.start - embargo * HOUR
            assert examples.made_at[fold.train].max() < examples.made_at[fold.test].min()
            # What was known in time and lies in the window is used: purging takes no more than it must.
            known = examples.known_at <= fold.start - embargo * HOUR
            if train:
                known &= (examples.made_at >= fold.start - train * HOUR)[:, None]
            assert used.sum() == known.sum()
            tested += fold.test.tolist()
    except InvalidConfiguration:
        assert train is not None or min(hours) * HOUR + HOUR > plan.start_ms - embargo * HOUR
        return
    assert sorted(tested) == np.flatnonzero(examples.made_at >= 200 * HOUR).tolist()  # each row is tested once


def test_expanding_folds_are_those_of_scikit_learn_with_a_gap() -> None:
    """Against what TimeSeriesSplit(n_splits, test_size, gap) gives for one series without holes: its definition."""
    examples, size, steps = table(list(range(100)), 3), 10, 3
    plan = WalkForward(start_ms=70 * HOUR, test_ms=size * HOUR, minimum_rows=1)
    for fold, start in zip(plan.folds(examples), (70, 80, 90), strict=True):
        whole = np.isfinite(fold.training(examples)[1]).all(axis=1)
        assert fold.train[whole].tolist() == list(range(start - steps + 1))
        assert fold.test.tolist() == list(range(start, start + size))


def test_a_fold_that_looks_ahead_is_refused() -> None:
    examples = table(list(range(100)), 3)
    fold = next(WalkForward(start_ms=70 * HOUR, test_ms=10 * HOUR).folds(examples))
    late = msgspec.structs.replace(fold, known_by=fold.start + HOUR)
    with pytest.raises(LooksAhead, match="learns from a target known at"):
        check(late, examples)
    own = msgspec.structs.replace(fold, train=np.append(fold.train, fold.test[:1]))
    with pytest.raises(LooksAhead, match="own test block"):
        check(own, examples)


def test_what_is_fitted_sees_training_rows_only() -> None:
    examples = table(list(range(300)), 2)
    seen: list[tuple[int, float]] = []

    def learner(rows: FloatArray, targets: FloatArray, seed: int) -> Forecaster:
        seen.append((len(rows), float(np.nansum(targets))))
        mean = np.nanmean(targets, axis=0)
        return lambda rows: np.tile(mean, (len(rows), 1))

    plan = WalkForward(start_ms=100 * HOUR, test_ms=50 * HOUR)
    walked = walk(examples, plan, learner)
    assert [count for count, _ in seen] == [100, 150, 200, 250]
    assert walked.rows.tolist() == list(range(100, 300))
    changed = Examples(examples.made_at, examples.known_at, examples.rows, examples.targets.copy())
    changed.targets[100:150] = 7.0  # the first test block: its own forecasts stay, later ones learn from it
    again = walk(changed, plan, learner)
    assert (again.values[:50] == walked.values[:50]).all()
    assert (again.values[50:] != walked.values[50:]).all()


def test_folds_may_be_forecast_in_any_order() -> None:
    examples = table([1, 1, *range(300)], 2)
    plan = WalkForward(start_ms=100 * HOUR, test_ms=50 * HOUR)

    def learner(rows: FloatArray, targets: FloatArray, seed: int) -> Forecaster:
        return lambda rows: rows + seed

    parts = [(fold, forecast_fold(examples, fold, learner, 3)) for fold in plan.folds(examples)]
    walked, joined = walk(examples, plan, learner, 3), join(parts[::-1], examples)
    assert joined.rows.tolist() == walked.rows.tolist()
    assert (joined.values == walked.values).all()
    assert (walked.values == examples.rows[walked.rows] + 3).all()


def test_what_makes_no_sense_is_refused() -> None:
    examples = table(list(range(100)), 2)
    with pytest.raises(InvalidConfiguration, match="start later"):
        list(WalkForward(start_ms=10 * HOUR, test_ms=HOUR).folds(examples))
    with pytest.raises(InvalidConfiguration, match="no row lies in a test block"):
        walk(examples, WalkForward(start_ms=1000 * HOUR, test_ms=HOUR), lambda rows, targets, seed: lambda rows: rows)
    with pytest.raises(EvenhandError, match="answered shape"):
        walk(
            examples,
            WalkForward(start_ms=80 * HOUR, test_ms=10 * HOUR),
            lambda rows, targets, seed: lambda rows: rows[:, :1],
        )
    with pytest.raises(InvalidConfiguration, match="it is no forecast"):
        Examples(examples.made_at, examples.known_at - 5 * HOUR, examples.rows, examples.targets)
    with pytest.raises(InvalidConfiguration, match="same rows and steps"):
        Examples(examples.made_at[:5], examples.known_at, examples.rows, examples.targets)
