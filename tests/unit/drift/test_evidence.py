"""Evidence adds up exactly, and the bets are fair."""

import math
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evenhand.drift import detector
from evenhand.drift.book import SCALE
from evenhand.drift.categorical import Categorical
from evenhand.drift.evidence import EpochEvidence, merge
from evenhand.drift.panel import Panel, panel_of
from evenhand.drift.rank_legendre import RankLegendre
from evenhand.drift.reference import of_categories, of_numbers
from evenhand.drift.thinning import thin_every

RNG = np.random.default_rng(3)
SAMPLE = {
    "price": RNG.normal(size=2000).tolist(),
    "size": RNG.integers(0, 4, 2000).astype(float).tolist(),
    "venue": [str(value) for value in RNG.choice(list("abc"), 2000, p=[0.5, 0.3, 0.2])],
}
PANEL = panel_of(SAMPLE, per_100k=1)
rows = st.lists(
    st.tuples(st.floats(-5, 5), st.sampled_from([0.0, 1.0, 2.0, 3.0]), st.sampled_from("abcd")), min_size=1, max_size=60
)


def columns(events: list[tuple[float, float, str]]) -> dict[str, list[object]]:
    return {name: [event[place] for event in events] for place, name in enumerate(SAMPLE)}


@given(epochs=st.lists(st.tuples(rows, st.integers(0, 2**31)), min_size=1, max_size=4))
@settings(max_examples=60, deadline=None)
def test_eight_partitions_are_one_stream_to_the_byte(epochs: list[tuple[list[tuple[float, float, str]], int]]) -> None:
    alone = together = PANEL.start()
    for events, seed in epochs:
        places = np.random.default_rng(seed).integers(0, 8, len(events))
        parts = [
            PANEL.evidence(columns([e for e, at in zip(events, places, strict=True) if at == p]), 0) for p in range(8)
        ]
        alone = PANEL.absorb(alone, PANEL.evidence(columns(events), 0))
        together = PANEL.absorb(together, merge(parts[::-1]))
    assert msgspec.json.encode(together) == msgspec.json.encode(alone)


def test_the_alarm_comes_in_the_same_epoch_with_the_same_finding() -> None:
    rng = np.random.default_rng(0)
    alone = together = PANEL.start()
    for _epoch in range(30):
        price = rng.normal(0.8 if alone.seen >= 1000 else 0.0, 1, 100)
        events: dict[str, Any] = {
            "price": price,
            "size": rng.integers(0, 4, 100).astype(float),
            "venue": ["a"] * 50 + ["b"] * 30 + ["c"] * 20,
        }
        parts = [PANEL.evidence({name: column[p::8] for name, column in events.items()}, 0) for p in range(8)]
        alone, together = PANEL.absorb(alone, PANEL.evidence(events, 0)), PANEL.absorb(together, merge(parts))
        assert PANEL.verdict(alone) == PANEL.verdict(together)
    finding = PANEL.verdict(together).findings[0]
    assert together.alarm_at is not None
    assert 1000 < together.alarm_at <= 1200
    assert (finding.feature, finding.cause) == ("price", "mean")


def test_a_panel_is_json() -> None:
    again = msgspec.json.decode(msgspec.json.encode(PANEL), type=Panel)
    assert again.evidence(columns([(1.0, 2.0, "b")]), 0) == PANEL.evidence(columns([(1.0, 2.0, "b")]), 0)


REFERENCES = [
    RNG.normal(size=5000), RNG.integers(0, 3, 5000) * 1.0, np.r_[np.zeros(3000), RNG.random(2000)],
    np.full(1000, 7.0), RNG.standard_cauchy(800),
]  # fmt: skip


@pytest.mark.parametrize("values", REFERENCES)
def test_no_bet_wins_on_the_reference_itself(values: np.ndarray[tuple[int], np.dtype[np.float64]]) -> None:
    reference = of_numbers(values)
    book = RankLegendre().book(reference)
    assert np.all(np.exp(book.logs / SCALE).T @ np.array(reference.probabilities) <= 1 + 1e-9)
    assert np.allclose(np.array(reference.probabilities) @ (book.scores / SCALE), 0, atol=1e-6)
    assert math.isclose(sum(reference.probabilities), 1)


def test_no_bet_on_categories_wins_on_the_reference_itself() -> None:
    reference = of_categories(["a"] * 900 + ["b"] * 90 + ["c"] * 10)
    book = Categorical().book(reference)
    assert np.all(np.exp(book.logs / SCALE).T @ np.array(reference.probabilities) <= 1 + 1e-9)


def test_of_every_k_events_one_is_looked_at_however_they_are_batched() -> None:
    one = detector("rank_legendre", {"every": 3})
    reference, events = RNG.normal(size=2000), RNG.normal(size=240)
    whole = one.update(one.start(reference), events)
    parts = one.update(one.update(one.start(reference), events[:4]), events[4:])
    assert msgspec.json.encode(parts) == msgspec.json.encode(whole)
    assert whole.wealth.fed == (80,)


@pytest.mark.parametrize(("phi", "time"), [(0.5, 3), (0.9, 19), (0.98, 99)])
def test_the_distance_of_autocorrelated_events_is_found(phi: float, time: int) -> None:
    rng, n = np.random.default_rng(1), 200_000
    noise, values = rng.normal(size=n) * math.sqrt(1 - phi * phi), np.empty(n)
    values[0] = rng.normal()
    for i in range(1, n):
        values[i] = phi * values[i - 1] + noise[i]
    assert 0.75 * time <= thin_every(values) <= 1.3 * time + 1


def test_an_epoch_without_events_spends_time_alone() -> None:
    panel = panel_of(SAMPLE, per_month=1)
    empty = panel.evidence({name: [] for name in SAMPLE}, 0)
    assert isinstance(empty, EpochEvidence)
    assert panel.absorb(panel.start(), empty, 3_600_000).seen == 0
