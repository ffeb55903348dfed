"""A posterior is right as often as it says: drawn from its own prior, each decile of P(better) to one point."""

import numpy as np
import pytest

from evenhand.experiments.posterior import belief, sceptical_prior

RUNS = 400_000


@pytest.mark.parametrize("informative", [0.3, 1.0, 3.0])
def test_each_decile_of_p_better_is_right_to_a_point(informative: float) -> None:
    """Effects from the prior, estimates around them; a decile has 40,000 runs, and an error of at most 0.25 points."""
    r, prior = np.random.default_rng(3), sceptical_prior(0.05)
    sd = prior / informative
    effect = r.normal(0.0, prior, RUNS)
    said = belief(r.normal(effect, sd), sd * sd, prior).probability_better
    edges = np.quantile(said, np.linspace(0.0, 1.0, 11))
    of = np.clip(np.searchsorted(edges, said, side="right") - 1, 0, 9)
    for decile in range(10):
        there = of == decile
        assert abs((effect[there] < 0.0).mean() - said[there].mean()) < 0.01


def test_where_it_is_stopped_at_by_chance_it_is_still_right() -> None:
    """A look after each of 500 clusters, stopped as soon as P > 0.95: the prior pays for the looks."""
    r, prior, runs, looks = np.random.default_rng(4), sceptical_prior(0.2), 8000, 500
    effect = r.normal(0.0, prior, runs)
    mean = effect[:, None] + np.cumsum(r.normal(size=(runs, looks)), axis=1) / np.arange(1, looks + 1)
    said = belief(mean, 1.0 / np.arange(1.0, looks + 1), prior).probability_better
    stops = np.maximum(said, 1.0 - said) > 0.95
    stopped = stops.any(axis=1)
    first = stops.argmax(axis=1)[stopped]
    rows = np.flatnonzero(stopped)
    better = said[rows, first] > 0.5
    wrong = (better != (effect[rows] < 0.0)).mean()
    assert stopped.sum() > 1000
    assert wrong < 0.05 + 0.012
    inside = np.abs(belief(mean[rows, first], 1.0 / (first + 1.0), prior).mean - effect[rows])
    covered = (inside < 1.959964 * belief(mean[rows, first], 1.0 / (first + 1.0), prior).sd).mean()
    assert covered == pytest.approx(0.95, abs=0.015)
