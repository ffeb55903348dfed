"""A look after every event: the error that is promised, and the power of a fixed test."""

import math

import numpy as np
import pytest
from scipy.stats import binomtest

from evenhand.experiments.sequential import (
    SPENT_FOR_EVER,
    Design,
    asymptotic_half_width,
    half_width,
    planned_size,
)
from evenhand.experiments.simulate import play


def upper(hits: int, runs: int) -> float:
    """Upper end of a one-sided 95 % interval of an error rate."""
    return float(binomtest(hits, runs).proportion_ci(0.9).high)


def test_the_confidence_sequence_is_that_of_the_paper() -> None:
    """Waudby-Smith et al. 2024, equation 14, written out: n = 500, sd = 2, alpha = 0.05, tightest at 500."""
    rho2 = (-2 * math.log(0.05) + math.log(-2 * math.log(0.05) + 1)) / 500
    width = 2 * math.sqrt(2 * (500 * rho2 + 1) / (500**2 * rho2) * math.log(math.sqrt(500 * rho2 + 1) / 0.05))
    assert asymptotic_half_width(500.0, 2.0, 0.05, 500.0) == pytest.approx(width, rel=1e-12)
    tightest = [asymptotic_half_width(500.0, 2.0, 0.05, m) for m in (250.0, 500.0, 1000.0)]
    assert min(tightest) == tightest[1]


def test_the_planned_end_is_that_of_a_fixed_test() -> None:
    """Textbook: (1.959964 + 0.841621)^2 / 0.2^2 = 196.2 pairs."""
    assert planned_size(Design(0.05, 0.2), 1.0) == pytest.approx(196.22, abs=0.01)
    assert planned_size(Design(0.05, 0.2, planned=77), 1.0) == 77


def test_numbers_and_arrays_give_the_same() -> None:
    n = np.arange(1.0, 400.0)
    for design in (Design(0.05, 0.2, minimum=50), Design(0.05, 0.2, is_fixed=True), Design(0.01, 0.2, planned=200)):
        whole = half_width(design, n, np.full_like(n, 1.3), is_past_end=n > 320)
        assert whole.tolist() == pytest.approx([half_width(design, float(k), 1.3, is_past_end=k > 320) for k in n])
        assert np.isinf(whole[: max(design.minimum, 30) - 1]).all()


RUNS = 600


@pytest.mark.parametrize("kind", ["normal", "binary", "lognormal", "t5", "pareto"])
def test_no_effect_is_rarely_found_whatever_the_tails(kind: str) -> None:
    """600 runs of 1,500 looks, paired differences: the bound for 5 % is 6.8 % at this many runs."""
    found = play(kind, effect=0.0, size=1500, runs=RUNS, seed=11)
    assert upper(found.rejected, RUNS) < 0.068 + 0.01
    assert found.covered / RUNS >= 0.95 - 0.02


def test_the_power_of_a_fixed_test_at_fewer_looks() -> None:
    found = play("normal", effect=1.0, size=2450, runs=RUNS, seed=12)
    assert found.rejected / RUNS > 0.72
    assert found.mean_size / 2450 < 0.77
    twice = play("normal", effect=2.0, size=2450, runs=200, seed=13)
    assert twice.rejected == 200
    assert twice.mean_size / 2450 < 0.42


def test_the_naive_rule_is_wrong_most_of_the_time() -> None:
    found = play("binary", effect=0.0, size=5000, runs=200, seed=14)
    assert found.naive / 200 > 0.7


@pytest.mark.parametrize("alpha", [0.001, 0.05, 0.2])
def test_the_boundary_to_the_planned_end_is_exact_for_a_brownian_motion(alpha: float) -> None:
    """P(max |W(t)| < c, t <= 1) as a series (Feller 1971, X.5): the bound by reflection gives next to nothing away."""
    n, end = 500.0, 1000.0
    half = half_width(Design(alpha, 1.0, planned=int(end)), n, 1.0)
    c = half * n / end**0.5
    stays = sum(
        4 / math.pi * (-1) ** k / (2 * k + 1) * math.exp(-((math.pi * (2 * k + 1)) ** 2) / (8 * c * c))
        for k in range(200)
    )
    spent = (1.0 - SPENT_FOR_EVER) * alpha
    assert 0.99 * spent < 1.0 - stays <= spent * (1.0 + 1e-9)
