"""gbstats and ville, where their models are ours; `tests/oracles/make.py` asked them."""

import json
import math
from pathlib import Path
from typing import Any

import pytest

from evenhand.events import Moments
from evenhand.experiments.beta import probability_greater
from evenhand.experiments.comoments import comoments, ratio
from evenhand.experiments.comparison import look
from evenhand.experiments.evidence import merge, moments
from evenhand.experiments.posterior import Belief, belief
from evenhand.experiments.sequential import Design, asymptotic_half_width
from tests.oracles import samples

ORACLES = Path(__file__).parents[2] / "oracles"
GBSTATS: dict[str, Any] = json.loads((ORACLES / "gbstats.json").read_text())
VILLE: dict[str, Any] = json.loads((ORACLES / "ville.json").read_text())


def close(value: float, expected: float) -> bool:
    """To 1e-6, relative or absolute."""
    return math.isclose(value, expected, rel_tol=1e-6, abs_tol=1e-6)


def difference(case: int) -> tuple[float, float, int]:
    """Mean difference of the two samples, its variance, and how many there are, by our own moments."""
    a, b = map(moments, samples.pair(case))
    variance = a.m2 / (a.n - 1) / a.n + b.m2 / (b.n - 1) / b.n
    return b.mean - a.mean, variance, a.n + b.n


def test_there_are_enough_cases() -> None:
    assert len(GBSTATS["cases"]) == samples.CASES >= 200


@pytest.mark.parametrize("quarter", range(4))
def test_posterior_chance_to_win_and_risk_are_gbstats(quarter: int) -> None:
    for case in range(quarter, samples.CASES, 4):
        theirs = GBSTATS["cases"][case]
        alpha, prior_sd, tightest = samples.settings(case)
        mean, variance, n = difference(case)
        ours = belief(mean, variance, prior_sd)
        assert close(ours.mean, theirs["mean"])
        assert close(float(ours.sd), theirs["sd"])
        assert all(map(close, ours.interval(1.0 - alpha), theirs["interval"]))
        assert close(float(ours.probability_better), theirs["win"])
        risks = float(ours.loss_of_champion), float(ours.loss_of_challenger)
        assert all(map(close, risks, theirs["risk"]))
        flat = Belief(mean, math.sqrt(variance))
        assert close(float(flat.probability_better), theirs["flat_win"])
        assert all(map(close, (float(flat.loss_of_champion), float(flat.loss_of_challenger)), theirs["flat_risk"]))
        half = asymptotic_half_width(float(n), math.sqrt(variance * n), alpha, tightest)
        assert all(map(close, (mean - half, mean + half), theirs["sequential"]))
        found = ratio(comoments(*samples.clusters(case)))
        assert found is not None
        assert all(map(close, found, (theirs["ratio"], theirs["ratio_variance"])))


def test_its_one_sided_interval_leaves_out_its_estimate_and_ours_does_not() -> None:
    theirs = GBSTATS["defects"]
    assert theirs["one_sided_upper"] < theirs["one_sided_estimate"], "the defect of gbstats 0.8.0"
    design = Design(0.05, 0.1, planned=500)
    for case in range(samples.CASES):
        mean, variance, n = difference(case)
        found = look(design, design, Moments(n, mean, variance * n * (n - 1)), is_past_end=False)
        assert found is not None
        assert found.interval[0] <= mean <= found.interval[1]
        low, high = belief(mean, variance, 1.0).interval(0.95)
        assert low < belief(mean, variance, 1.0).mean < high


def test_its_variance_around_a_billion_is_negative_and_ours_is_right() -> None:
    assert GBSTATS["defects"]["variance_around_a_billion"] < 0.0, "the defect of gbstats 0.8.0"
    values = samples.around_a_billion()
    true = moments([value - samples.BIG for value in values]).m2 / (len(values) - 1)
    whole = moments(values)
    merged = merge(moments(values[:300]), moments(values[300:]))
    for found in (whole, merged):
        assert found.m2 / (found.n - 1) == pytest.approx(true, rel=1e-9)
    assert true == pytest.approx(1.0, abs=0.1)


def test_the_confidence_sequence_is_that_of_ville() -> None:
    """Its mixture precision is 1 / r here; its bound is on the sum, ours on the mean."""
    for case in VILLE["cases"]:
        alpha = case["alpha"]
        tightest = case["rho"] * (math.log(1.0 - 2.0 * math.log(alpha)) - 2.0 * math.log(alpha))
        half = asymptotic_half_width(float(case["n"]), 1.0, alpha, tightest)
        assert half * case["n"] == pytest.approx(case["sum"], rel=1e-9)
    values = moments(samples.pair(0)[0])
    low, high = VILLE["interval"]
    r = 1.0 / VILLE["rho"]
    tightest = (math.log(1.0 - 2.0 * math.log(0.05)) - 2.0 * math.log(0.05)) / r
    half = asymptotic_half_width(float(values.n), math.sqrt(values.m2 / (values.n - 1)), 0.05, tightest)
    assert (values.mean - half, values.mean + half) == (pytest.approx(low, rel=1e-9), pytest.approx(high, rel=1e-9))
    ours = asymptotic_half_width(500.0, 1.0, 0.05, 500.0)
    best = asymptotic_half_width(500.0, 1.0, 0.05, tightest)
    assert ours == pytest.approx(best, rel=2e-3), "the closed form for r is as good as the best one, to 0.2 %"


def test_counts_agree_with_a_closed_form() -> None:
    """P(p_B > p_A) of integer Beta parameters is a finite sum (Miller 2015)."""

    def log_beta(a: float, b: float) -> float:
        return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)

    for (k_a, n_a), (k_b, n_b) in (((3, 50), (9, 60)), ((0, 20), (1, 20)), ((40, 80), (41, 90))):
        a, b = (1.0 + k_a, 1.0 + n_a - k_a), (1.0 + k_b, 1.0 + n_b - k_b)
        exact = sum(
            math.exp(log_beta(a[0] + i, a[1] + b[1]) - math.log(b[1] + i) - log_beta(1 + i, b[1]) - log_beta(*a))
            for i in range(round(b[0]))
        )
        assert probability_greater(b, a) == pytest.approx(exact, abs=1e-4)
