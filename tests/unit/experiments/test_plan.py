"""A plan says what a fixed test needs, and is kept by what is simulated."""

import pytest

from evenhand.experiments.experiment import Rule
from evenhand.experiments.plan import plan


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
