"""Guardrails of served requests: by phase, on a log scale, beyond a frozen quantile, and over the success metric."""

import math
from typing import Any

import msgspec
import numpy as np
import pytest

from evenhand.errors import InvalidConfiguration
from evenhand.events import Moments, Phase, VariantEvidence
from evenhand.experiments.comoments import comoments
from evenhand.experiments.evidence import Exposure
from evenhand.experiments.experiment import Experiment, Guardrail, Rule, Variant
from evenhand.experiments.guardrail import Watched, watch_counts, watch_ratio
from evenhand.experiments.served import served
from evenhand.experiments.standing import Standing, absorb
from evenhand.experiments.strata import as_moments, difference_of_means
from evenhand.experiments.user_metric import UserMetric
from evenhand.experiments.watching import watch
from evenhand.metrics import slow_responses


def trial(*guardrails: Guardrail, **more: Any) -> Experiment:
    return Experiment(
        name="t", model="m", champion="a", epoch_s=60, rule=Rule(guardrails=guardrails),
        variants=(Variant(name="a", version="1.0.0", weight=1), Variant(name="b", version="1.1.0", weight=1)), **more,
    )  # fmt: skip


def standing(experiment: Experiment, a: np.ndarray, b: np.ndarray, epochs: int = 40) -> Standing:
    """Response times of both, over epochs, one request a user."""
    held, weights = Standing(), {"a": 1, "b": 1}
    for epoch in range(epochs):
        asked = {
            f"{name}{epoch}-{i}": Exposure(epoch, name, {name: False}, "c", "", float(time))
            for name, times in (("a", a), ("b", b))
            for i, time in enumerate(np.array_split(times, epochs)[epoch])
        }
        sums = served(experiment, asked, [])["c"]
        phase = Phase(weights=weights, ratios=sums.ratios, times=sums.times)
        held = absorb(experiment, held, epoch, {}, {"c": phase})
    return held


def watched(metric: str, a: np.ndarray, b: np.ndarray, margin: float = 1.5, **more: Any) -> Watched:
    experiment = trial(Guardrail(metric=metric, margin=margin, **more))
    return watch(experiment, standing(experiment, a, b), "b", 1)[metric]


def test_weights_that_change_with_the_traffic_move_no_estimate() -> None:
    """The days of the second phase are slow for everybody, and b has most of the traffic then (Simpson)."""
    r = np.random.default_rng(1)

    def sums(mean: float, n: int) -> Any:
        return comoments(r.normal(mean, 10, n).tolist(), [1.0] * n)

    strata = [(sums(100, 900), sums(100, 100)), (sums(300, 100), sums(300, 900))]
    found = difference_of_means(strata)
    assert found is not None
    assert abs(found.mean) < 3 * math.sqrt(found.variance) < 4
    assert watch_ratio(strata, 1.1, 1.2, None, 0.05).state == "safe"
    pooled = (
        comoments([100.0] * 900 + [300.0] * 100, [1.0] * 1000),
        comoments([100.0] * 100 + [300.0] * 900, [1.0] * 1000),
    )
    assert watch_ratio([pooled], 1.1, 1.2, None, 0.05).state == "breached", "what pooling would say"
    moments = as_moments(found, is_better_higher=False)
    assert moments.n == 360
    assert moments.m2 / (moments.n - 1) / moments.n == pytest.approx(found.variance)


def test_the_standing_keeps_phases_apart() -> None:
    metric = UserMetric(name="cost")
    experiment = trial(metrics=(metric,), success_metric="cost")
    held = Standing()
    for epoch, (weights, level, n_a, n_b) in enumerate(
        [({"a": 9, "b": 1, "c": 2}, 1.0, 90, 10), ({"a": 1, "b": 9}, 3.0, 10, 90)]
    ):
        r = np.random.default_rng(epoch)
        ratios = {
            name: {"cost": comoments(r.normal(level, 0.1, n).tolist(), [1.0] * n)}
            for name, n in (("a", n_a), ("b", n_b))
        }
        held = absorb(experiment, held, epoch, {}, {f"c{epoch}": Phase(weights=weights, ratios=ratios)})
    assert abs(held.observations(experiment, "b").mean) < 0.1
    assert held.loss(experiment, "a") == pytest.approx(1.2, abs=0.1), "its own mean, over all that it served"


@pytest.mark.parametrize(
    ("metric", "times", "state"),
    [
        ("response_time", 1.0, "safe"), ("response_time", 2.5, "breached"),
        ("response_time_log", 1.0, "safe"), ("response_time_log", 2.5, "breached"),
        ("response_time_p95", 1.0, "safe"), ("response_time_p95", 2.5, "breached"),
    ],
)  # fmt: skip
def test_response_times_have_a_mean_a_log_scale_and_a_tail(metric: str, times: float, state: str) -> None:
    r = np.random.default_rng(2)
    a, b = r.lognormal(3, 0.6, 12_000), times * r.lognormal(3, 0.6, 12_000)
    found = watched(metric, a, b)
    assert found.state == state, found.reason


def test_a_tail_is_seen_where_most_answers_are_as_fast_as_before() -> None:
    r = np.random.default_rng(3)
    a, b = r.lognormal(3, 0.3, 12_000), r.lognormal(3, 0.3, 12_000)
    b[r.random(12_000) < 0.1] *= 2.5
    assert watched("response_time_log", a, b).state == "safe"
    found = watched("response_time_p95", a, b, margin=1.5)
    assert found.state == "breached"
    assert found.reason.startswith("slower than 3"), "about 33 ms is the champion's 95 % quantile"


def test_before_the_quantile_is_frozen_nothing_is_said() -> None:
    assert "not 1000" in watched("response_time_p95", np.full(500, 10.0), np.full(500, 99.0)).reason


@pytest.mark.parametrize("mean", [1e-3, 1e-5, 1e-9])
def test_a_mean_next_to_zero_has_no_ratio_that_anybody_could_certify(mean: float) -> None:
    """Such as a profit: the interval of the ratio is wider than numbers reach."""
    around = np.tile([-1.0, 1.0], 50)
    champion, challenger = (comoments((around + each).tolist(), [1.0] * 100) for each in (2.0, mean))
    for strata in ([(champion, challenger)], [(challenger, champion)]):
        found = watch_ratio(strata, 1.5, 2.0, None, 0.025)
        assert found.state == "undetermined"
        assert all(map(math.isfinite, found.interval or (math.inf,)))


def test_a_quantile_of_buckets_is_within_two_percent() -> None:
    times = np.random.default_rng(4).lognormal(3, 1, 5000)
    counts: dict[int, int] = {}
    for each in times.tolist():
        counts[slow_responses.bucket(each)] = counts.get(slow_responses.bucket(each), 0) + 1
    limit = slow_responses.threshold(counts)
    assert limit is not None
    assert slow_responses.milliseconds(limit) == pytest.approx(np.quantile(times, 0.95), rel=0.02)
    assert slow_responses.beyond(counts, limit)[0] / 5000 == pytest.approx(0.05, abs=0.003)


def test_counts_at_the_exact_boundary_over_two_phases_are_rarely_called_a_breach() -> None:
    """300 runs of 60 looks: 5 % may be called a breach, 8.5 % is chance at that many."""
    r, breached = np.random.default_rng(5), 0
    for _ in range(300):
        strata = [[0, 0, 0, 0], [0, 0, 0, 0]]
        for look in range(60):
            held, share = strata[look >= 30], 0.2 if look < 30 else 0.6
            n_b = int(r.binomial(200, share))
            for i, more in enumerate((r.binomial(200 - n_b, 0.05), 200 - n_b, r.binomial(n_b, 0.075), n_b)):
                held[i] += int(more)
            pairs = [((k_a, n_a), (k_b, n_of_b)) for k_a, n_a, k_b, n_of_b in strata]
            if watch_counts(pairs, 1.5, 1.5, 0.05).state == "breached":
                breached += 1
                break
    assert breached / 300 <= 0.085


def success(ratio: float, n: int = 800, **more: Any) -> Watched:
    r = np.random.default_rng(6)
    shared = r.gamma(4, 0.25, n)
    a, b = shared * r.gamma(20, 0.05, n), ratio * shared * r.gamma(20, 0.05, n)

    def moments(x: np.ndarray) -> Moments:
        return Moments(len(x), float(x.mean()), float(((x - x.mean()) ** 2).sum()))

    variants = {
        "a": VariantEvidence(losses={"squared_error": moments(a)}),
        "b": VariantEvidence(losses={"squared_error": moments(b)}, paired={"squared_error": moments(b - a)}),
    }
    experiment = trial(Guardrail(metric="success_metric", **{"margin": 1.2, **more}))
    return watch(experiment, Standing(variants=variants), "b", 1)["success_metric"]


def test_a_guardrail_over_the_success_metric_knows_more_than_undetermined() -> None:
    assert success(1.0).state == "safe"
    assert success(1.5).state == "breached"
    assert success(1.2).state == "undetermined"
    assert success(0.3, too_good=0.5).state == "too_good"
    assert success(1.0, n=20).state == "undetermined"
    assert success(1.0, unit="difference", margin=0.2).state == "safe"
    assert success(1.6, unit="difference", margin=0.2).state == "breached"
    found = success(1.1)
    assert found.interval is not None
    assert found.estimate == pytest.approx(1.1, abs=0.03)
    assert found.interval[1] - found.interval[0] < 0.25, "pairs share their outcome: that is taken out"


@pytest.mark.parametrize("metric", ["error_rate", "response_time_log", "response_time_p95"])
def test_what_has_no_difference_is_refused(metric: str) -> None:
    with pytest.raises(InvalidConfiguration, match="give it as a ratio"):
        Guardrail(metric=metric, unit="difference", margin=0.1)


def test_a_metric_that_is_better_higher_is_watched_for_falling() -> None:
    metric = UserMetric(name="orders", better="higher")
    experiment = trial(Guardrail(metric="orders", margin=1.1), metrics=(metric,))
    r = np.random.default_rng(7)

    def state(level: float) -> str:
        ratios = {
            name: {"orders": comoments(r.normal(mean, 0.2, 600).tolist(), [1.0] * 600)}
            for name, mean in (("a", 1.0), ("b", level))
        }
        held = absorb(experiment, Standing(), 1, {}, {"c": Phase(weights={"a": 1, "b": 1}, ratios=ratios)})
        return watch(experiment, held, "b", 1)["orders"].state

    assert [state(level) for level in (1.0, 2.0, 0.5)] == ["safe", "safe", "breached"]
    assert msgspec.json.decode(msgspec.json.encode(experiment), type=Experiment) == experiment
