"""A plan says what a fixed test needs, and is kept by what is simulated."""

from typing import Any

import pytest

from evenhand.events import CoMoments, Moments, VariantEvidence
from evenhand.experiments.experiment import Experiment, Rule, Variant
from evenhand.experiments.plan import DAY_MS, plan, progress
from evenhand.experiments.standing import Standing


def test_a_plan_is_the_textbooks() -> None:
    found = plan(Rule(minimum_detectable_effect=0.02), relative_sd=1.0, clusters_per_day=1000)
    assert found.planned_clusters == 19623, "(1.959964 + 0.841621)^2 / 0.02^2"
    assert found.power["0.02"] == pytest.approx(0.8, abs=1e-3)
    assert found.power["0"] == pytest.approx(0.025, abs=1e-3), "one side of 5 %"
    assert found.planned_days == pytest.approx(19.62, abs=0.01)
    assert found.expected_days is not None
    assert found.expected_days < 15


def test_what_makes_it_longer() -> None:
    base = plan(Rule(), 1.0).planned_clusters
    assert plan(Rule(), 2.0).planned_clusters == pytest.approx(4 * base, rel=0.01)
    assert plan(Rule(), 1.0, challengers=4).planned_clusters > base
    assert plan(Rule(confidence_level=0.99), 1.0).planned_clusters > base
    assert plan(Rule(maximum_sample_size=500), 1.0).planned_clusters == 500
    assert plan(Rule(early_stopping_enabled=False), 1.0).expected_clusters == base
    assert plan(Rule(), 1.0).planned_days is None


def running(days: int = 10, **more: Any) -> Standing:
    """Ten days of 24 clusters and 2,400 requests a day."""
    losses = {"squared_error": Moments(240 * days // 10, 2.0, 100.0)}
    return Standing(
        variants={
            "a": VariantEvidence(predictions=2400 * days, losses=losses),
            "b": VariantEvidence(
                predictions=2400 * days, matured=2000 * days,
                paired={"squared_error": Moments(24 * days, 0.0, 24.0 * days)},
            ),
        },
        began_ms=DAY_MS, reached_ms=(1 + days) * DAY_MS, **more,
    )  # fmt: skip


def trial(**more: Any) -> Experiment:
    variants = tuple(Variant(name=name, version="1.0.0", weight=1) for name in "ab")
    return Experiment(name="t", model="m", champion="a", variants=variants, **more)


def test_progress_gives_the_date_at_the_traffic_so_far() -> None:
    found = progress(trial(), running(), "b", planned=480)
    assert (found.requests, found.matured, found.clusters, found.observations) == (24_000, 20_000, 240, 240)
    assert (found.requests_per_day, found.observations_per_day) == (2400, 24)
    assert found.planned_ms == 21 * DAY_MS, "half of it is left, ten days more"
    assert found.expected_ms == 16 * DAY_MS, "three quarters of 480 are 360"
    assert found.relative_sd == pytest.approx(0.5, abs=0.01)
    assert progress(trial(), Standing(), "b", planned=None).planned_ms is None


def test_overlapping_forecasts_are_worth_fewer_clusters() -> None:
    """Blocks of 24 clusters whose means vary by 0.25: an independent cluster of variance 1 would give 1 / 24."""
    n = 10
    blocks = {"b": CoMoments(n, 0.0, 24.0, 0.25 * 24**2 * (n - 1) * 11 / 12)}
    found = progress(trial(epoch_s=3600, block_s=24 * 3600), running(closed=blocks), "b", planned=40)
    assert (found.clusters, found.observations) == (240, 10)
    assert found.effective == pytest.approx(40, rel=0.01), "240 / (0.25 x 24)"
    assert found.planned_ms == 41 * DAY_MS
