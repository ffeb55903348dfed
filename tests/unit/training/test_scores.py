"""Scores claim no more than the data say: the error rate of the verdict is what it says."""

import math

import numpy as np
import pytest
from scipy import stats

from evenhand.errors import InvalidConfiguration
from evenhand.training.batch_means import estimate
from evenhand.training.scores import Answers, ScoreSettings, compare, pinball, score


def test_known_numbers() -> None:
    values, outcomes = np.array([1.0, -1.0, 2.0, 0.0]), np.array([2.0, 1.0, 1.0, 4.0])
    found = score(Answers(values), {"naive": np.zeros(4)}, outcomes, 1)
    assert found.rmse == pytest.approx(math.sqrt((1 + 4 + 1 + 16) / 4))
    assert found.mae == pytest.approx(2.0)
    assert found.mase == pytest.approx(2.0 / 2.0)
    assert found.direction_accuracy.mean == pytest.approx(2 / 3)  # the forecast of nothing has no direction
    assert found.verdict == "no skill"
    assert found.comparisons[0].improvement.mean == pytest.approx(0.0)
    assert found.coverage_90 is None


def test_bounds_and_confidence_are_scored() -> None:
    outcomes = np.random.default_rng(0).normal(size=20_000)
    values = np.full(20_000, 0.1)
    answers = Answers(values, np.full(20_000, -1.6449), np.full(20_000, 1.6449), np.full(20_000, 0.5))
    found = score(answers, {}, outcomes, 1)
    assert found.coverage_90 == pytest.approx(0.9, abs=0.01)
    assert found.calibration_error == pytest.approx(0.0, abs=0.01)
    best = min(np.linspace(-2.5, -1, 61), key=lambda bound: pinball(np.full(20_000, bound), outcomes, 0.05))
    assert best == pytest.approx(-1.645, abs=0.06)
    assert found.pinball == pytest.approx(pinball(np.full(20_000, -1.6449), outcomes, 0.05), rel=0.05)


@pytest.mark.parametrize("horizon", [1, 7])
def test_the_interval_covers_although_losses_overlap(horizon: int) -> None:
    random = np.random.default_rng(horizon)
    held = 0
    for _ in range(400):
        noise = random.normal(size=2000 + horizon)
        values = np.convolve(noise, np.ones(horizon), "valid")[:2000]
        found = estimate(values, horizon)
        held += found.low <= 0 <= found.high
        assert found.effective_count < 2000 / horizon * 2
    assert held / 400 == pytest.approx(0.95, abs=0.03)


def test_on_a_random_walk_the_verdict_is_no_skill() -> None:
    random = np.random.default_rng(11)
    skilled = 0
    for _ in range(300):
        outcomes, values = random.normal(size=(2, 1500))
        # As sure as a small signal: the best case for a false verdict is a forecast that hardly moves.
        found = score(Answers(values * 0.01), {"naive": np.zeros(1500)}, outcomes, 7)
        skilled += found.verdict == "skill"
    assert skilled / 300 <= 0.05


def test_a_real_signal_is_skill_and_many_trials_ask_for_more() -> None:
    random = np.random.default_rng(12)
    signal = random.normal(size=4000)
    outcomes = 0.3 * signal + random.normal(size=4000)
    naive = {"naive": np.zeros(4000), "mean": np.full(4000, outcomes.mean())}
    assert score(Answers(0.3 * signal), naive, outcomes, 1).verdict == "skill"
    weak = 0.07 * signal + random.normal(size=4000)
    few, many = (
        score(Answers(0.07 * signal), {"naive": np.zeros(4000)}, weak, 1, ScoreSettings(trials=trials)).comparisons[0]
        for trials in (1, 100_000)
    )
    assert few.improvement.low > many.improvement.low
    assert few.better
    assert not many.better


def test_who_says_what_a_baseline_says_has_no_skill() -> None:
    outcomes = np.random.default_rng(13).normal(size=500)
    assert score(Answers(np.zeros(500)), {"naive": np.zeros(500)}, outcomes, 1).verdict == "no skill"
    assert score(Answers(outcomes), {}, outcomes, 1).verdict == "no skill"  # against nothing there is no verdict


def test_the_comparison_is_that_of_diebold_and_mariano() -> None:
    """The oracle: their test with a rectangular kernel of h - 1 lags, corrected for small samples."""
    random, ours, theirs, horizon, count = np.random.default_rng(14), [], [], 3, 3000
    for gap in np.linspace(0.005, 0.25, 12):
        noise = np.convolve(random.normal(size=count + horizon - 1), np.ones(horizon), "valid")
        signal = np.convolve(random.normal(size=count + horizon - 1), np.ones(horizon), "valid")
        outcomes = gap * signal + noise
        difference = outcomes**2 - (gap * signal - outcomes) ** 2
        centred = difference - difference.mean()
        spectrum = (centred @ centred + 2 * sum(centred[k:] @ centred[:-k] for k in range(1, horizon))) / count
        factor = math.sqrt((count + 1 - 2 * horizon + horizon * (horizon - 1) / count) / count)
        statistic = difference.mean() / math.sqrt(spectrum / count) * factor
        theirs.append(statistic > stats.t.ppf(0.975, count - 1))
        ours.append(compare(gap * signal, np.zeros(count), outcomes, horizon, "naive").better)
    assert sum(a == b for a, b in zip(ours, theirs, strict=True)) >= 10
    assert theirs[-1]
    assert ours[-1]


def test_too_few_outcomes_give_no_interval() -> None:
    found = score(Answers(np.ones(20)), {"naive": np.zeros(20)}, np.ones(20), 7)
    assert found.comparisons[0].improvement.low == -math.inf
    assert found.verdict == "no skill"
    with pytest.raises(InvalidConfiguration, match="nothing to score"):
        score(Answers(np.ones(3)), {}, np.full(3, np.nan), 1)


def test_profit_is_after_cost() -> None:
    outcomes = np.tile([0.01, -0.01], 500)
    found = score(Answers(outcomes), {}, outcomes, 1, ScoreSettings(cost_fraction=0.004))
    assert found.profit.mean == pytest.approx(0.01 - 0.004, rel=1e-3)  # it turns round at every step
    held = score(Answers(np.ones(1000)), {}, np.full(1000, 0.01), 1, ScoreSettings(cost_fraction=0.004))
    assert held.profit.mean == pytest.approx(0.01, rel=1e-3)
