"""Beliefs are calibrated, exact where counts are small, and say what the closed forms say."""

import numpy as np
import pytest
from scipy.stats import beta as beta_distribution
from scipy.stats import norm

from evenhand.experiments.beta import expected_excess, probability_greater, probability_more
from evenhand.experiments.posterior import belief, fitted_prior, probability_best, sceptical_prior


def test_each_decile_of_p_better_is_right_to_a_point() -> None:
    """500,000 effects from the prior: the standard error of a decile is 0.2 points."""
    r = np.random.default_rng(1)
    truth = r.normal(0, 0.5, 500_000)
    found = belief(truth + r.normal(0, 0.7, truth.size), 0.49, 0.5)
    p = np.asarray(found.probability_better)
    for part in np.array_split(np.argsort(p), 10):
        assert np.mean(truth[part] < 0) == pytest.approx(p[part].mean(), abs=0.01)
    low, high = found.interval(0.95)
    assert np.mean((low < truth) & (truth < high)) == pytest.approx(0.95, abs=0.002)
    assert np.mean(np.maximum(truth, 0)) == pytest.approx(np.mean(found.loss_of_challenger), abs=0.002)


def test_a_belief_is_the_integral_that_it_says_it_is() -> None:
    found = belief(-0.3, 0.04, 0.5)
    x = np.linspace(-4, 4, 400_001)
    density = norm.pdf(x, -0.3, 0.2) * norm.pdf(x, 0, 0.5)
    density /= density.sum()
    assert found.mean == pytest.approx((x * density).sum())
    assert found.sd**2 == pytest.approx((x * x * density).sum() - found.mean**2)
    assert found.probability_better == pytest.approx(density[x < 0].sum(), abs=1e-5)
    assert found.loss_of_challenger == pytest.approx((np.maximum(x, 0) * density).sum(), abs=1e-6)
    assert found.loss_of_champion == pytest.approx((np.maximum(-x, 0) * density).sum(), abs=1e-6)
    assert found.probability_within(0.1) == pytest.approx(density[np.abs(x) < 0.1].sum(), abs=1e-4)
    assert found.probability_below(-0.2) == pytest.approx(density[x < -0.2].sum(), abs=1e-4)


def test_the_prior_of_past_experiments_is_found_again() -> None:
    r = np.random.default_rng(2)
    variances = r.uniform(0.01, 0.04, 2000)
    estimates = r.normal(0, 0.3, 2000) + r.normal(0, np.sqrt(variances))
    assert fitted_prior(estimates.tolist(), variances.tolist()) == pytest.approx(0.3, rel=0.05)
    assert fitted_prior([0.0] * 20, [1.0] * 20) < 0.2, "nothing ever mattered: hardly any width"
    with pytest.raises(ValueError, match="10 are wanted"):
        fitted_prior([1.0], [1.0])
    assert sceptical_prior(1.64) == 1.0


def test_the_best_of_several_is_what_drawing_shows() -> None:
    r = np.random.default_rng(3)
    means, sds = [-0.5, -0.2, 0.4], [0.5, 1.0, 0.3]
    drawn = np.column_stack([np.zeros(400_000), r.normal(means, sds, (400_000, 3))])
    shown = np.bincount(drawn.argmin(axis=1), minlength=4) / 400_000
    assert probability_best(means, sds) == pytest.approx(shown, abs=0.005)
    assert sum(probability_best(means, sds)) == pytest.approx(1.0)


@pytest.mark.parametrize(("a", "b"), [((0, 10), (3, 10)), ((5, 500), (9, 400)), ((1, 3), (2, 3)), ((0, 5), (0, 5))])
def test_small_counts_are_exact(a: tuple[int, int], b: tuple[int, int]) -> None:
    """Against scipy's distributions on a fine grid."""
    x = (np.arange(200_000) + 0.5) / 200_000
    left, right = beta_distribution(*_after(*a)).ppf(x), beta_distribution(*_after(*b))
    for margin in (0.0, 0.02):
        exact = np.mean(right.sf(left + margin))
        assert probability_greater(_after(*b), _after(*a), margin) == pytest.approx(exact, abs=1e-4)
    drawn = np.random.default_rng(4)
    shown = np.maximum(drawn.beta(*_after(*b), 400_000) - drawn.beta(*_after(*a), 400_000), 0).mean()
    assert expected_excess(_after(*b), _after(*a)) == pytest.approx(shown, abs=2e-3)


@pytest.mark.parametrize(("most", "off"), [(0.1, 2e-4), (0.25, 6e-4)])
def test_few_errors_are_compared_as_by_a_fine_quadrature(most: float, off: float) -> None:
    """300 pairs of rare fractions by chance; of a uniform grid in the root of the champion's fraction."""
    r, grid, seen = np.random.default_rng(5), (np.arange(4000) + 0.5) / 4000, 0
    while seen < 300:
        n_a = int(10 ** r.uniform(1.8, 6.0 if most < 0.2 else 3.0))
        n_b, errors = int(n_a * 10 ** r.uniform(-1.0, 0.36)), 10 ** r.uniform(-1.0, 1.4)
        k_a, k_b = int(r.poisson(errors)), int(r.poisson(errors * n_b / n_a * 2.0 ** r.uniform(-1.5, 1.5)))
        if n_b < 50 or max((k_a + 0.5) / n_a, (k_b + 0.5) / n_b) > most:
            continue
        margin = float(r.choice([0.0, 0.0002, 0.001, 0.005, 0.02, 0.1]))
        of_a, of_b, seen = beta_distribution(*_after(k_a, n_a)), _after(k_b, n_b), seen + 1
        root = of_a.ppf(1.0 - 1e-12) ** 0.5 * grid
        density = of_a.pdf(root * root) * root
        exact = float(density @ beta_distribution(*of_b).sf(root * root + margin) / density.sum())
        assert probability_greater(of_b, _after(k_a, n_a), margin) == pytest.approx(exact, abs=off)


@pytest.mark.parametrize(("a", "b"), [((6, 900), (9, 1000)), ((400, 1000), (430, 1000)), ((40, 90_000), (44, 80_000))])
def test_fractions_are_compared_exactly_or_by_a_normal(a: tuple[int, int], b: tuple[int, int]) -> None:
    """Few, many, and rare ones of very many: each within what its way is good for."""
    x = (np.arange(200_000) + 0.5) / 200_000
    of_a, of_b = beta_distribution(*_after(*a)), beta_distribution(*_after(*b))
    for margin in (0.0, 1e-4, 0.01):
        exact = np.mean(of_b.sf(of_a.ppf(x) + margin))
        assert probability_more(b, a, margin) == pytest.approx(exact, abs=4e-3 if min(a[0], b[0]) > 30 else 2e-4)


def test_what_is_far_apart_needs_no_integral() -> None:
    assert probability_more((5, 10_000), (5, 10_000), 0.02) == 0.0
    assert probability_more((5000, 10_000), (5, 10_000), 0.02) == 1.0
    assert probability_more((0, 0), (5, 10)) is None
    assert probability_more((5, 10), (0, 0)) is None


def _after(k: int, n: int) -> tuple[float, float]:
    return k + 0.5, n - k + 0.5
