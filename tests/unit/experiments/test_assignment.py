"""Who gets which variant: the same in every language, evenly, independently, and without leaving a growing arm."""

import json
import shutil
import subprocess
from collections.abc import Callable

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chi2_contingency, chisquare

import schemas
from evenhand.errors import InvalidConfiguration
from evenhand.experiments.assignment import assign, bucket, segments
from evenhand.experiments.experiment import Experiment, Segment, Variant
from evenhand.experiments.phases import reweighted, without

GOLDEN = json.loads((schemas.EXAMPLES / "assignment.json").read_bytes())
UNITS = 20_000


def trial(**weights: int) -> Experiment:
    variants = tuple(Variant(name=name, version="1.0.0", weight=weight) for name, weight in weights.items())
    return Experiment(name="trial", model="m", champion=next(iter(weights)), variants=variants)


def test_the_golden_values_hold() -> None:
    for place in GOLDEN["places"]:
        assert bucket(place["salt"], place["unit"]) == int(place["place"])
    for case in GOLDEN["assignments"]:
        variants = [variant | {"version": "1.0.0"} for variant in case["experiment"]["variants"]]
        described = case["experiment"] | {"model": "m", "champion": variants[0]["name"], "variants": variants}
        experiment = msgspec.convert(described, Experiment)
        assert {unit: assign(experiment, unit).name for unit in case["variants"]} == case["variants"]


@pytest.mark.skipif(shutil.which("node") is None, reason="there is no Node here: its reference was not run")
def test_another_language_gives_the_same() -> None:
    script = schemas.HOME.parent / "docs" / "reference" / "assignment.mjs"
    golden = (schemas.EXAMPLES / "assignment.json").read_bytes()
    done = subprocess.run(["node", str(script)], input=golden, capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr.decode()
    count = len(GOLDEN["places"]) + sum(len(case["variants"]) for case in GOLDEN["assignments"])
    assert done.stdout.decode() == f"{count} agree\n"


KINDS: dict[str, Callable[[int], str]] = {
    "sequential": str,
    "zero-padded": "{:012d}".format,
    "uuid-like": lambda i: f"{i * 0x9E3779B97F4A7C15 % 2**64:016x}-{i:04x}",
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_salt_spreads_units_evenly(kind: str) -> None:
    """Chi-squared over 100 buckets, 20 salts: the least p of 20 is below 1e-4 by chance in 0.2 % of such tests."""
    worst = 1.0
    for salt in range(20):
        places = np.array([bucket(f"salt-{salt}", KINDS[kind](i)) >> 32 for i in range(UNITS)])
        worst = min(worst, chisquare(np.bincount(places * 100 >> 32, minlength=100)).pvalue)
    assert worst > 1e-4


@pytest.mark.parametrize("kind", KINDS)
def test_two_salts_split_independently(kind: str) -> None:
    a, b = (np.array([bucket(salt, KINDS[kind](i)) >> 32 for i in range(UNITS)]) * 10 >> 32 for salt in ("t", "t2"))
    assert chi2_contingency(np.bincount(a * 10 + b, minlength=100).reshape(10, 10)).pvalue > 1e-4


def measure(experiment: Experiment) -> dict[str, int]:
    total = dict.fromkeys((variant.name for variant in experiment.variants), 0)
    for start, end, owner in segments(experiment):
        total[owner] += end - start
    return total


def lost(before: Experiment, after: Experiment, name: str) -> int:
    """Places that a variant had and has no longer."""
    new = [(start, end) for start, end, owner in segments(after) if owner == name]
    had = [(start, end) for start, end, owner in segments(before) if owner == name]
    kept = sum(max(0, min(e, f) - max(s, t)) for s, e in had for t, f in new)
    return sum(end - start for start, end in had) - kept


@settings(max_examples=200, deadline=None)
@given(st.lists(st.lists(st.integers(0, 50), min_size=4, max_size=4).filter(any), min_size=2, max_size=6))
def test_a_unit_never_leaves_a_growing_arm(steps: list[list[int]]) -> None:
    experiment = trial(**dict(zip("abcd", steps[0], strict=True)))
    for weights in steps[1:]:
        after = reweighted(experiment, dict(zip("abcd", weights, strict=True)))
        before_size, after_size = measure(experiment), measure(after)
        assert sum(after_size.values()) == 1 << 64
        for variant in after.variants:
            assert abs(after_size[variant.name] * sum(weights) - (variant.weight << 64)) <= 2 * sum(weights)
            assert lost(experiment, after, variant.name) == max(
                0, before_size[variant.name] - after_size[variant.name]
            ), "no more moves than must"
        experiment = after


def test_the_ring_says_what_assign_does() -> None:
    experiment = reweighted(reweighted(trial(a=60, b=20, c=20), {"a": 10, "b": 50, "c": 40}), {"a": 30, "c": 20})
    for unit in map(str, range(500)):
        place = bucket("trial", unit)
        assert [assign(experiment, unit).name] == [name for s, e, name in segments(experiment) if s <= place < e]


def test_an_arm_that_is_dropped_gives_its_units_to_the_champion_and_nobody_else_moves() -> None:
    before = trial(a=60, b=20, c=20)
    after = without(before, "b")
    assert after is not None
    for unit in map(str, range(2000)):
        was = assign(before, unit).name
        assert assign(after, unit).name == ("a" if was == "b" else was)
    assert without(after, "c") is None


@pytest.mark.parametrize("ring", [[("1" * 16, "a")], [("0" * 16, "a"), ("0" * 16, "b")], [("0" * 16, "nobody")]])
def test_a_ring_that_is_none_is_refused(ring: list[tuple[str, str]]) -> None:
    experiment = trial(a=1, b=1)
    with pytest.raises(InvalidConfiguration, match="ring"):
        msgspec.structs.replace(experiment, ring=tuple(Segment(*piece) for piece in ring)).__post_init__()


def test_weights_of_strangers_and_of_nobody_are_refused() -> None:
    with pytest.raises(InvalidConfiguration, match="has no variants"):
        reweighted(trial(a=1, b=1), {"z": 1})
    with pytest.raises(InvalidConfiguration, match="nobody"):
        reweighted(trial(a=1, b=1), {"a": 0, "b": 0})
