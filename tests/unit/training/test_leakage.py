"""Planted leaks are found by name; clean pipelines pass."""

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from evenhand.training.examples import FloatArray, Forecaster, IntArray
from evenhand.training.leakage import AuditSettings, Leak, LeakFound, Pipeline, Step, audit, require_clean
from evenhand.training.learner_audit import audit_learners
from tests.unit.training.planted_leaks import (
    CLEAN,
    HOUR,
    LEAKING,
    Feature,
    chosen,
    chosen_over_all,
    close,
    components,
    components_over_all,
    compute,
    encoded_over_all,
    labels,
    lagged,
    least_squares,
    ranked_over_all,
    rolled,
    scaled,
    scaled_over_all,
    source,
)


def found(features: dict[str, Feature], early_ms: int = 0) -> list[Leak]:
    one = source()
    pipeline = Pipeline(list(features), compute(features, early_ms))
    return audit(pipeline, one, np.empty((0, len(features))), np.empty((0, 1)), seed=1)


@pytest.mark.parametrize("name", LEAKING)
def test_a_leaking_feature_is_named_among_clean_ones(name: str) -> None:
    leaks = found({**CLEAN, name: LEAKING[name]})
    assert {leak.where for leak in leaks} == {name}
    with pytest.raises(LeakFound, match=name):
        require_clean(leaks)


def test_rows_that_claim_to_be_known_before_their_candle_closed_are_found() -> None:
    leaks = found(
        {"close": close, "return": CLEAN["return"], "hour": lambda s: (s.known_at // HOUR % 24).astype(float)}, HOUR
    )
    assert {"close", "return"} <= {leak.where for leak in leaks}


def table(seed: int = 0) -> tuple[FloatArray, FloatArray]:
    one = source(seed)
    rows = compute(CLEAN)(one).rows
    return rows[30:], labels(one)[30:]


@pytest.mark.parametrize(
    "step", [scaled_over_all, ranked_over_all, components_over_all, chosen_over_all, encoded_over_all]
)
def test_a_step_that_is_fitted_over_all_folds_is_named(step: Callable[..., FloatArray]) -> None:
    rows, targets = table()
    steps = [Step("honest", scaled), Step(step.__name__, step)]
    leaks = audit(Pipeline(list(CLEAN), None, steps, least_squares), None, rows, targets, seed=2)
    assert [(leak.where, leak.test) for leak in leaks] == [(step.__name__, "fold_fit")]


@pytest.mark.parametrize(
    "leak",
    [
        lambda y: y,
        lambda y: -3 * y + 1,
        lambda y: np.sign(y) * np.abs(y) ** 0.3,
        lambda y: y + np.random.default_rng(0).normal(size=len(y)) * np.nanstd(y) * 0.5,
        np.abs,
        lambda y: np.append(y[1:], 0.0),
    ],
    ids=["label", "affine", "power", "noisy", "size", "label_ahead"],
)
def test_a_column_of_a_table_that_knows_its_label_is_named(leak: Callable[[FloatArray], FloatArray]) -> None:
    rows, targets = table()
    rows = np.column_stack([rows, np.nan_to_num(leak(targets[:, 0]))])
    leaks = audit(Pipeline([*CLEAN, "stranger"]), None, rows, targets, seed=3)
    assert [(found.where, found.test) for found in leaks] == [("stranger", "label_shift")]


def test_a_learner_that_has_seen_the_labels_is_found_by_shuffling_them() -> None:
    rows, targets = table()
    seen: list[FloatArray] = []

    def remember(rows: FloatArray, targets: FloatArray, train: IntArray) -> FloatArray:
        seen.append(targets)
        return rows

    def cheat(rows: FloatArray, targets: FloatArray, seed: int) -> Forecaster:
        return lambda rows: seen[-1][-len(rows) :]

    leaks = audit(Pipeline(list(CLEAN), None, [Step("remember", remember)], cheat), None, rows, targets, seed=4)
    assert [(leak.where, leak.test) for leak in leaks] == [("remember -> learner", "shuffled_labels")]


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize(
    "steps",
    [[], [Step("scaled", scaled)], [Step("scaled", scaled), Step("chosen", chosen)], [Step("components", components)]],
)
def test_clean_pipelines_pass(seed: int, steps: Sequence[Step]) -> None:
    rows, targets = table(seed)
    pipeline = Pipeline(list(CLEAN), compute(CLEAN), steps, least_squares)
    require_clean(audit(pipeline, source(seed), rows, targets, seed))


def test_lags_of_an_autocorrelated_target_are_no_leak() -> None:
    random = np.random.default_rng(5)
    level = np.cumsum(random.normal(size=1500))
    rows = np.column_stack([level, lagged(level, 1), rolled(level, 5)])[10:]
    targets = np.append(level[1:], np.nan)[10:, None]
    assert audit(Pipeline(["level", "lag", "mean"]), None, rows, targets, seed=6) == []


def test_learners_that_leak_are_named_and_honest_ones_are_not() -> None:
    random = np.random.default_rng(7)
    rows, targets = random.normal(size=(2, 1000, 3))

    def scaled_by_the_test(rows: FloatArray, targets: FloatArray, seed: int) -> Forecaster:
        return lambda tested: tested - tested.mean(axis=0)

    def honest(rows: FloatArray, targets: FloatArray, seed: int) -> Forecaster:
        weights = np.linalg.lstsq(rows, targets, rcond=None)[0]
        return lambda tested: np.array([(row[:, None] * weights).sum(axis=0) for row in tested])

    learners = {"honest": honest, "by_the_test": scaled_by_the_test}
    leaks = audit_learners(learners, rows, targets, 1, AuditSettings())
    assert [(leak.where, leak.test) for leak in leaks] == [("by_the_test", "fold_fit")]
