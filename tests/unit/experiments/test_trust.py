"""Guardrails at their exact boundary, and sample ratios, with a look after every event."""

import math

import numpy as np
import pytest

from evenhand.events import CoMoments, Phase
from evenhand.experiments.comoments import comoments
from evenhand.experiments.guardrail import log_e_above, share_of_errors, watch_difference, watch_errors, watch_ratio
from evenhand.experiments.srm import LOG_ENOUGH, log_e, mismatch


def first_error_breach(p_a: float, times: float, runs: int, requests: int, seed: int) -> list[float]:
    """Requests until a breach of twice the errors at 5 %, a fifth of the traffic the challenger's; inf without one.

    Every error is a look: E moves at no other time.
    """
    r, theta, found = np.random.default_rng(seed), share_of_errors(0.2, 2.0), []
    for _ in range(runs):
        is_b = r.random(requests) < 0.2
        failed = r.random(requests) < np.where(is_b, times * p_a, p_a)
        at = np.flatnonzero(failed)
        k = np.cumsum(is_b[at])
        looks = (math.inf if log_e_above(int(each), m, theta) < -math.log(0.05) else at[m - 1]
                 for m, each in enumerate(k, 1))  # fmt: skip
        found.append(float(next((place for place in looks if place < math.inf), math.inf)))
    return found


def test_errors_at_the_exact_boundary_are_rarely_called_a_breach() -> None:
    """300 runs of 20,000 requests at twice the errors: 5 % may be called a breach, 8.5 % is chance at that many."""
    breached = np.isfinite(first_error_breach(0.005, 2.0, runs=300, requests=20_000, seed=1))
    assert breached.mean() <= 0.085


def test_four_times_the_errors_are_found_within_8000_requests_at_the_median() -> None:
    assert np.median(first_error_breach(0.005, 4.0, runs=150, requests=40_000, seed=2)) <= 8000


@pytest.mark.parametrize("tails", ["lognormal", "pareto"])
def test_response_times_at_the_exact_boundary_are_rarely_called_a_breach(tails: str) -> None:
    """A look at every thirtieth request; 200 runs: 5 % may be called a breach, 9 % is chance at this many runs."""
    r, breached = np.random.default_rng(3), 0
    for _ in range(200):
        if tails == "lognormal":
            a, b = r.lognormal(3, 0.6, 3000), 1.5 * r.lognormal(3, 0.6, 3000)
        else:
            a, b = 1 + r.pareto(2.5, 3000), 1.5 * (1 + r.pareto(2.5, 3000))
        breached += any(
            watch_ratio([(_sums(a[:n]), _sums(b[:n]))], 1.5, 1.5, None, 0.05).state == "breached"
            for n in range(30, 3001, 30)
        )
    assert breached / 200 <= 0.09


def _sums(times: np.ndarray) -> CoMoments:
    n = len(times)
    mean = float(times.mean())
    return CoMoments(n, mean, 1.0, float(((times - mean) ** 2).sum()), 0.0, 0.0)


def test_a_guardrail_has_all_its_states() -> None:
    r = np.random.default_rng(4)
    a = comoments(r.normal(100, 10, 500).tolist(), [1.0] * 500)

    def times(mean: float) -> CoMoments:
        return comoments(r.normal(mean, 10, 500).tolist(), [1.0] * 500)

    assert watch_ratio([(a, times(100))], 1.5, 1.5, None, 0.05).state == "safe"
    assert watch_ratio([(a, times(200))], 1.5, 1.5, None, 0.05).state == "breached"
    assert watch_ratio([(a, times(150))], 1.5, 1.5, None, 0.05).state == "undetermined"
    assert watch_ratio([(a, times(1))], 1.5, 1.5, 0.1, 0.05).state == "too_good"
    assert watch_ratio([(a, comoments([1.0], [1.0]))], 1.5, 1.5, None, 0.05).state == "undetermined"
    assert watch_difference([(a, times(130))], 10.0, 20.0, None, 0.05).state == "breached"
    assert watch_difference([(a, times(100))], 10.0, 20.0, None, 0.05).state == "safe"


def test_errors_are_judged_with_none_few_and_many() -> None:
    assert watch_errors((0, 0), (0, 0), 2.0, 2.0, 0.02, 0.05).state == "undetermined"
    assert watch_errors((0, 100), (0, 100), 2.0, 2.0, 0.02, 0.05).state == "undetermined"
    assert watch_errors((0, 500), (0, 500), 2.0, 2.0, 0.02, 0.05).state == "safe", "nothing fails"
    assert watch_errors((0, 150), (15, 150), 2.0, 2.0, 0.02, 0.05).state == "breached"
    assert watch_errors((500, 5000), (500, 5000), 2.0, 2.0, 0.02, 0.05).state == "safe", "as often as the champion"
    assert watch_errors((500, 5000), (0, 5000), 2.0, 2.0, 0.0, 0.05).estimate == 0.0


@pytest.mark.parametrize("k", [6, 11, 200])
def test_e_is_the_mixture_that_it_says_it_is(k: int) -> None:
    m, theta = k + 7, 0.4
    t = np.linspace(theta, 1, 200_001)[1:-1]
    likelihood = k * np.log(t / theta) + 7 * np.log((1 - t) / (1 - theta))
    assert log_e_above(k, m, theta) == pytest.approx(math.log(np.exp(likelihood).mean()), abs=1e-3)


def test_a_right_split_is_blocked_once_in_a_thousand_at_most() -> None:
    """400 runs, 50,000 looks each: 0.4 are expected at the bound; more than 3 would be chance once in a thousand."""
    r, blocked = np.random.default_rng(5), 0
    for _ in range(400):
        n = np.cumsum(r.random(50_000) < 0.3)
        counts = np.stack([n, np.arange(1, 50_001) - n], axis=1)
        blocked += bool((log_e(counts, [30, 70]) >= LOG_ENOUGH).any())
    assert blocked <= 3


def test_two_points_off_are_found_within_15000_assignments_at_the_median() -> None:
    r, found = np.random.default_rng(6), []
    for _ in range(100):
        n = np.cumsum(r.random(40_000) < 0.32)
        over = log_e(np.stack([n, np.arange(1, 40_001) - n], axis=1), [30, 70]) >= LOG_ENOUGH
        found.append(over.argmax() if over.any() else np.inf)
    assert np.median(found) <= 15_000


def test_a_ramp_is_no_mismatch_and_a_broken_phase_is_one() -> None:
    ramp = [
        Phase(weights={"a": 90, "b": 10}, served={"a": 9000, "b": 1000}, matured={"a": 9000, "b": 1000}),
        Phase(weights={"a": 50, "b": 50}, served={"a": 2500, "b": 2500}, matured={"a": 2500, "b": 2500}),
    ]
    assert mismatch(ramp) is None
    total = {name: ramp[0].served[name] + ramp[1].served[name] for name in "ab"}
    assert mismatch([Phase(weights={"a": 50, "b": 50}, served=total)]) is not None
    lossy = Phase(weights={"a": 50, "b": 50}, served={"a": 2500, "b": 2500}, matured={"a": 2500, "b": 2000})
    said = mismatch([ramp[0], lossy])
    assert said is not None
    assert "outcomes that matured" in said
    assert "44.44% instead of 50.00%" in said
    assert mismatch([Phase(weights={"a": 1, "b": 0}, served={"a": 5, "b": 1})]) is not None, "b has no traffic"
