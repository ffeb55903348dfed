"""Intervals hold what they promise for any data; confidence means what it says."""

import math

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import isotonic_regression

from evenhand.training.calibration import BINS, PRIOR, Calibrator, calibration_error, direction_hits, isotonic
from evenhand.training.conformal import AdaptiveInterval, ConformalSettings, Issued, error_bound
from evenhand.training.examples import FloatArray
from evenhand.training.rating import Rating, RatingState, rate


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
    answers = rate(np.zeros(hours), outcomes, delay=7)
    assert answers.low is not None
    held = (abs(outcomes) <= -answers.low)[720:]
    months = [held[start : start + 720].mean() for start in range(0, len(held) - 719, 720)]
    years = [held[start : start + 8000].mean() for start in range(0, len(held) - 7999, 8000)]
    assert all(0.86 <= month <= 0.94 for month in months)
    assert all(0.88 <= year <= 0.92 for year in years)


def test_an_interval_knows_only_outcomes_that_have_matured() -> None:
    outcomes = np.random.default_rng(1).normal(size=300)
    low = rate(np.zeros(300), outcomes, delay=10).low
    outcomes[200:] *= 100
    again = rate(np.zeros(300), outcomes, delay=10).low
    assert low is not None
    assert again is not None
    assert (low[:210] == again[:210]).all()
    assert (low[210:] != again[210:]).any()


def test_intervals_are_narrow_in_calm_times_and_infinite_without_evidence() -> None:
    outcomes = np.random.default_rng(2).normal(size=4000) * np.where(np.arange(4000) < 2000, 1.0, 0.01)
    answers = rate(np.zeros(4000), outcomes, delay=1)
    assert answers.low is not None
    assert answers.high is not None
    wide = answers.high - answers.low
    assert np.isinf(wide[0])
    assert np.median(wide[3000:]) < 0.02 * np.median(wide[1000:2000])
    assert 0 < AdaptiveInterval().finite_quantile() < 2


def test_volatility_that_is_known_beforehand_makes_intervals_fit_the_moment() -> None:
    random = np.random.default_rng(7)
    volatility = np.exp(random.normal(size=6000))  # as wild as it is new: past errors say nothing
    outcomes = random.normal(size=6000) * volatility
    answers = rate(np.zeros(6000), outcomes, 1, volatility)
    assert answers.low is not None
    wild = np.arange(6000)[1000:][volatility[1000:] > 2]
    assert (abs(outcomes[wild]) <= -answers.low[wild]).mean() == pytest.approx(0.9, abs=0.03)


def test_a_rating_goes_on_from_its_state_as_if_nothing_had_been() -> None:
    random = np.random.default_rng(8)
    values, outcomes = random.normal(size=(2, 1600))
    whole, parted = Rating(), Rating()
    rate(values, outcomes, 1, None, whole)
    for part in (slice(0, 700), slice(700, 1600)):
        parted = Rating(msgspec.json.decode(msgspec.json.encode(parted.state), type=RatingState))
        rate(values[part], outcomes[part], 1, None, parted)
    assert msgspec.json.encode(parted.state) == msgspec.json.encode(whole.state)


def confidences(values: FloatArray, outcomes: FloatArray, volatility: FloatArray, delay: int) -> FloatArray:
    confidence = rate(values, outcomes, delay, volatility).confidence
    assert confidence is not None
    return confidence


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
    before = confidences(values, outcomes, np.ones(2000), 20)
    outcomes[1000:] = values[1000:]
    after = confidences(values, outcomes, np.ones(2000), 20)
    changed = np.flatnonzero(before != after)
    assert 1020 <= changed[0] < 1100


@settings(deadline=None, max_examples=100)
@given(st.lists(st.tuples(st.integers(1, 60), st.integers(0, 60)), min_size=1, max_size=BINS))
def test_levels_are_those_of_isotonic_regression(bins: list[tuple[int, int]]) -> None:
    counts = [float(count) for count, _ in bins]
    hits = [float(min(count, hit)) for count, hit in bins]
    edges = [float(place) for place in range(len(bins) - 1)]
    fitted = isotonic(edges, counts, hits)
    mixed = np.array(counts) + PRIOR
    expected: FloatArray = isotonic_regression((np.array(hits) + PRIOR / 2) / mixed, weights=mixed).x
    np.testing.assert_allclose(
        fitted.probabilities_of(np.arange(float(len(bins))) - 0.5), np.asarray(expected, float), rtol=1e-12
    )
    assert [fitted.probability(edge) for edge in edges] == fitted.probabilities_of(np.array(edges)).tolist()


def test_the_last_outcomes_count_most() -> None:
    calibrator = Calibrator()
    for place in range(60_000):
        calibrator.mature(place % 7, float(place >= 30_000))  # it was always wrong, and is always right
    assert min(calibrator.state.fitted.probabilities) > 0.7
    always = Calibrator()
    for _ in range(1000):
        always.mature(1.0, 1.0)
    assert always.confidence(1.0) > 0.9


def test_calibration_error_of_known_cases() -> None:
    assert calibration_error(np.full(100, 0.75), np.array([1.0, 1, 1, 0] * 25), bins=1) == pytest.approx(0.0)
    assert calibration_error(np.full(100, 0.9), np.zeros(100)) == pytest.approx(0.9)
    assert math.isnan(calibration_error(np.array([]), np.array([])))
