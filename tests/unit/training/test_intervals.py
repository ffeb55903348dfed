"""Intervals hold what they promise for any data; confidence means what it says."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evenhand.training.calibration import (
    PrequentialSettings,
    calibrate,
    calibration_error,
    confidences,
    direction_hits,
)
from evenhand.training.conformal import AdaptiveInterval, ConformalSettings, Issued, error_bound, intervals


@settings(deadline=None, max_examples=60)
@given(
    outcomes=st.lists(st.floats(-1e6, 1e6) | st.sampled_from([0.0, 1e9]), min_size=50, max_size=400),
    delay=st.integers(1, 30),
    miss=st.sampled_from([0.05, 0.1, 0.5]),
    gamma=st.sampled_from([0.01, 0.1]),
)
def test_the_share_of_misses_is_bounded_for_any_data(
    outcomes: list[float], delay: int, miss: float, gamma: float
) -> None:
    chosen = ConformalSettings(miss=miss, gamma=gamma, window=50)
    adaptive, missed = AdaptiveInterval(chosen), 0
    issued: list[Issued] = []
    for place in range(len(outcomes)):
        if place >= delay:
            missed += not adaptive.mature(issued[place - delay], outcomes[place - delay])
        issued.append(adaptive.issue(0.0))
    matured = max(0, len(outcomes) - delay)
    if matured:
        assert abs(missed / matured - miss) <= error_bound(chosen, matured, delay)


def test_coverage_holds_every_month_when_volatility_and_tails_change() -> None:
    random = np.random.default_rng(5)
    hours = 24 * 365 * 2
    volatility = np.exp(1.2 * np.sin(np.arange(hours) / 700) + np.cumsum(random.normal(size=hours)) * 0.01)
    outcomes = random.standard_t(4, size=hours) * volatility
    low, high = intervals(np.zeros(hours), outcomes, delay=7)
    held = ((outcomes >= low) & (outcomes <= high))[720:]
    months = [held[start : start + 720].mean() for start in range(0, len(held) - 719, 720)]
    years = [held[start : start + 8000].mean() for start in range(0, len(held) - 7999, 8000)]
    assert all(0.86 <= month <= 0.94 for month in months)
    assert all(0.88 <= year <= 0.92 for year in years)


def test_an_interval_knows_only_outcomes_that_have_matured() -> None:
    outcomes = np.random.default_rng(1).normal(size=300)
    low, _ = intervals(np.zeros(300), outcomes, delay=10)
    outcomes[200:] *= 100
    again, _ = intervals(np.zeros(300), outcomes, delay=10)
    assert (low[:210] == again[:210]).all()
    assert (low[210:] != again[210:]).any()


def test_intervals_are_narrow_in_calm_times_and_infinite_without_evidence() -> None:
    outcomes = np.random.default_rng(2).normal(size=4000) * np.where(np.arange(4000) < 2000, 1.0, 0.01)
    low, high = intervals(np.zeros(4000), outcomes, delay=1)
    assert np.isinf(high[0])
    assert np.median((high - low)[3000:]) < 0.02 * np.median((high - low)[1000:2000])


def test_confidence_is_the_share_of_right_directions() -> None:
    random = np.random.default_rng(3)
    count = 40_000
    values, noise = random.normal(size=count), random.normal(size=count) * 2
    outcomes = values + noise
    answers = confidences(values, outcomes, np.full(count, 2.0), delay=7)
    hits = direction_hits(values, outcomes)
    assert calibration_error(answers[2000:], hits[2000:]) <= 0.02
    assert answers[2000:].max() > 0.75
    assert answers[2000:].min() < 0.55


def test_confidence_in_a_coin_stays_that_of_a_coin() -> None:
    random = np.random.default_rng(4)
    values, outcomes = random.normal(size=(2, 20_000))
    answers = confidences(values, outcomes, np.ones(20_000), delay=24)
    assert calibration_error(answers[2000:], direction_hits(values, outcomes)[2000:]) <= 0.02
    assert (abs(answers[2000:] - 0.5) < 0.06).all()


def test_confidence_knows_only_outcomes_that_have_matured() -> None:
    random = np.random.default_rng(6)
    values, outcomes = random.normal(size=(2, 2000))
    every = PrequentialSettings(every=50)
    before = confidences(values, outcomes, np.ones(2000), 20, every)
    outcomes[1000:] = values[1000:]
    after = confidences(values, outcomes, np.ones(2000), 20, every)
    changed = np.flatnonzero(before != after)
    assert 1020 <= changed[0] < 1100


@settings(deadline=None, max_examples=100)
@given(st.lists(st.tuples(st.floats(0, 5), st.sampled_from([0.0, 0.5, 1.0])), max_size=300))
def test_more_score_is_never_less_confidence(pairs: list[tuple[float, float]]) -> None:
    scores = np.array([score for score, _ in pairs])
    fitted = calibrate(scores, np.array([hit for _, hit in pairs]))
    grid = np.linspace(0, 6, 50)
    assert (np.diff(fitted.probabilities_of(grid)) >= 0).all()
    assert [fitted.probability(one) for one in grid.tolist()] == fitted.probabilities_of(grid).tolist()
    assert all(0 <= one <= 1 for one in fitted.probabilities)


def test_calibration_error_of_known_cases() -> None:
    assert calibration_error(np.full(100, 0.75), np.array([1.0, 1, 1, 0] * 25), bins=1) == pytest.approx(0.0)
    assert calibration_error(np.full(100, 0.9), np.zeros(100)) == pytest.approx(0.9)
    assert math.isnan(calibration_error(np.array([]), np.array([])))
