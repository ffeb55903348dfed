"""Sums add up in any order, at any magnitude, and say what numpy says."""

import math

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evenhand.events import CoMoments, Moments, Phase, VariantEvidence
from evenhand.experiments import blocks
from evenhand.experiments.comoments import adjusted, comoments, merge_comoments, ratio
from evenhand.experiments.evidence import (
    Exposure,
    Pair,
    count_phases,
    fold,
    merge,
    merge_phases,
    merge_variants,
    moments,
)
from evenhand.experiments.experiment import Experiment, Guardrail, Rule, Variant
from evenhand.experiments.served import served

BASES = [0.0, 1.0, -1e6, 1e9]
PAIRS = st.lists(st.tuples(st.floats(-1, 1), st.floats(-1, 1)), max_size=30)


def close(a: CoMoments, b: CoMoments, base: float) -> bool:
    """To 1e-9 relative, and to what the rounding of the values themselves leaves of a spread that is almost none."""
    noise = 1e-15 * max(1.0, abs(base)) * max(1, a.n)
    return a.n == b.n and all(
        math.isclose(x, y, rel_tol=1e-9, abs_tol=noise)
        for x, y in [
            (a.mean_x, b.mean_x), (a.mean_y, b.mean_y), (a.m2_x, b.m2_x), (a.m2_y, b.m2_y), (a.c_xy, b.c_xy),
        ]
    )  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(st.lists(PAIRS, min_size=3, max_size=3), st.sampled_from(BASES))
def test_a_merge_is_associative_and_commutative_and_equals_the_whole(
    parts: list[list[tuple[float, float]]], base: float
) -> None:
    a, b, c = (comoments([base + x for x, _ in part], [y for _, y in part]) for part in parts)
    whole = comoments([base + x for part in parts for x, _ in part], [y for part in parts for _, y in part])
    for merged in (
        merge_comoments(merge_comoments(a, b), c),
        merge_comoments(a, merge_comoments(b, c)),
        merge_comoments(c, merge_comoments(b, a)),
    ):
        assert close(merged, whole, abs(base))


@pytest.mark.parametrize("base", BASES)
def test_large_values_keep_their_variance(base: float) -> None:
    """A sum of squares gives -335 for values around 1e9 with variance 1 (gbstats 0.8.0, measured)."""
    r = np.random.default_rng(1)
    x = base + r.normal(size=5000)
    total = Moments()
    for part in np.array_split(x, 37):
        total = merge(total, moments(part.tolist()))
    assert total.m2 / (total.n - 1) == pytest.approx(np.var(x, ddof=1), rel=1e-9)
    assert total.mean == pytest.approx(float(np.mean(x)), rel=1e-12, abs=1e-12)


def test_co_moments_are_numpys() -> None:
    r = np.random.default_rng(2)
    x, y = r.normal(3, 2, 400), r.normal(5, 1, 400)
    sums = comoments(x.tolist(), y.tolist())
    cov = np.cov(x, y)
    assert [sums.m2_x / 399, sums.m2_y / 399, sums.c_xy / 399] == pytest.approx([cov[0, 0], cov[1, 1], cov[0, 1]])


def test_the_variance_of_a_ratio_is_what_repetition_shows() -> None:
    """400 repetitions: the mean of the estimated variances is within 15 % (7 % is chance) of the estimates' own."""
    r = np.random.default_rng(3)
    estimates, variances = [], []
    for _ in range(400):
        count = r.integers(1, 20, 150)
        own = r.normal(10, 3, 150)  # users differ: their requests are not independent
        total = count * own + r.normal(0, 1, 150) * np.sqrt(count)
        found = ratio(comoments(total.tolist(), count.astype(float).tolist()))
        assert found is not None
        estimates.append(found[0])
        variances.append(found[1])
    assert np.mean(variances) == pytest.approx(np.var(estimates), rel=0.15)
    assert np.mean(estimates) == pytest.approx(10, abs=0.1)


def test_a_covariate_takes_away_what_it_explains_and_no_more() -> None:
    r = np.random.default_rng(4)
    before = r.normal(size=4000)
    x = 1.0 + 0.8 * before + r.normal(0, 0.6, 4000)
    plain, less = moments(x.tolist()), adjusted(comoments(x.tolist(), before.tolist()), 0.0)
    assert less.m2 / plain.m2 == pytest.approx(0.36, rel=0.1)
    assert less.mean == pytest.approx(1.0, abs=0.04)
    unrelated = adjusted(comoments(x.tolist(), r.normal(size=4000).tolist()), 0.0)
    assert unrelated.m2 == pytest.approx(plain.m2, rel=0.01)


def test_ratios_and_covariates_without_spread_say_nothing_or_change_nothing() -> None:
    assert ratio(comoments([1.0], [1.0])) is None
    assert ratio(comoments([1.0, 2.0], [0.0, 0.0])) is None
    assert adjusted(comoments([1.0, 2.0, 3.0], [5.0, 5.0, 5.0]), 5.0) == moments([1.0, 2.0, 3.0])


def test_blocks_have_the_variance_of_the_mean_where_forecasts_overlap() -> None:
    """h = 7: counted one by one the variance is a seventh of the truth; in blocks of 28, within 25 % of it."""
    r, h, length, n = np.random.default_rng(5), 7, 28, 28 * 40
    means, singly, blocked = [], [], []
    for _ in range(300):
        noise = r.normal(size=n + h)
        x = np.convolve(noise, np.ones(h), "valid")[:n]
        closed, current = CoMoments(), blocks.Block()
        for start in range(0, n, 4):  # an epoch has four
            closed, current = blocks.add(closed, current, start // length, moments(x[start : start + 4].tolist()))
        closed, _ = blocks.add(closed, current, n, Moments())
        found = blocks.as_moments(closed)
        assert found.n == 40
        assert found.mean == pytest.approx(x.mean())
        means.append(found.mean)
        blocked.append(found.m2 / (found.n - 1) / found.n)
        singly.append(np.var(x, ddof=1) / n)
    assert np.mean(blocked) == pytest.approx(np.var(means), rel=0.25)
    assert np.mean(singly) < np.var(means) / 5


def test_twenty_requests_that_share_an_outcome_are_one_cluster() -> None:
    experiment = Experiment(
        name="t", model="m", champion="a",
        variants=(Variant(name="a", version="1", weight=1), Variant(name="b", version="2", weight=1)),
    )  # fmt: skip
    pairs = [
        Pair(1, f"BTC@{i // 20}", 1.0, {"a": 0.0, "b": 1.0 + i // 20}, (0, "", "", ""), "ab"[i % 2], "c1")
        for i in range(60)
    ]
    exposures = [
        Exposure(1, "ab"[i % 2], {"a": False, "b": i == 0}, "c1", f"u{i % 10}", 10.0 * (1 + i % 2)) for i in range(60)
    ]
    evidence = fold(experiment, exposures, pairs)
    assert evidence["b"].paired["squared_error"] == moments([-1.0, 0.0, 3.0])
    assert (evidence["a"].served, evidence["b"].errors, evidence["b"].matured) == (30, 1, 60)
    asked = {f"r{i}": each for i, each in enumerate(exposures)}
    watching = msgspec.structs.replace(
        experiment, rule=Rule(guardrails=(Guardrail(metric="response_time", margin=1.5),))
    )
    assert served(watching, asked, [])["c1"].ratios["b"]["response_time"] == comoments([120.0] * 5, [6.0] * 5)
    crossed = {**asked, "r60": msgspec.structs.replace(exposures[1], variant="a")}
    assert served(watching, crossed, [])["c1"].ratios["b"]["response_time"].n == 4, "u1 was answered by both"
    assert served(experiment, asked, []) == {}
    assert count_phases({"c1": {"a": 1, "b": 1}, "c2": {"a": 1}}, exposures, pairs) == {
        "c1": Phase(weights={"a": 1, "b": 1}, served={"a": 30, "b": 30}, matured={"a": 30, "b": 30})
    }


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 3), min_size=1, max_size=40), st.integers(0, 40))
def test_merged_partitions_are_the_whole(variants: list[int], cut: int) -> None:
    def of(part: list[int]) -> tuple[dict[str, VariantEvidence], dict[str, Phase]]:
        evidence = {}
        for v in set(part):
            times = comoments([float(v)] * part.count(v), [1.0] * part.count(v))
            evidence[f"v{v}"] = VariantEvidence(served=part.count(v), ratios={"response_time": times})
        return evidence, {f"c{v % 2}": Phase(weights={"v": 1}, served={f"v{v}": part.count(v)}) for v in set(part)}

    (a, phases_a), (b, phases_b) = of(variants[:cut]), of(variants[cut:])
    merged = merge_variants(a, b)
    assert {name: each.served for name, each in merged.items()} == {f"v{v}": variants.count(v) for v in set(variants)}
    assert merge_variants(b, a) == merged
    served = [merge_phases(phases_a, phases_b), merge_phases(phases_b, phases_a)]
    assert served[0] == served[1]
