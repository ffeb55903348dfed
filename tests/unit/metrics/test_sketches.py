"""What holds of every sketch: sums add up, are plain JSON, and say nothing where there is no data."""

from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import evenhand.metrics  # noqa: F401 - its files register themselves
from evenhand.metrics.sketch import SKETCHES, Sketch

RNG = np.random.default_rng(5)
ADDED: dict[str, tuple[Any, ...]] = {
    "response_time": (RNG.lognormal(3, 1, 64),), "label_delay": (RNG.exponential(900, 64),), "error_fraction": (64, 3),
    "accuracy": (RNG.integers(-4, 5, 64) * 1.0, RNG.integers(-4, 5, 64) * 1.0),
    "rmse": (RNG.integers(-4, 5, 64) * 1.0, RNG.integers(-4, 5, 64) * 1.0), "throughput": (64, 1000),
    "missing_labels": (64, 5), "calibration": (RNG.integers(0, 9, 64) / 8, RNG.integers(0, 2, 64) * 1.0),
    "gauge": (RNG.integers(0, 99, 64) * 1.0,),
    "coverage": (np.full(64, -1.0), np.full(64, 1.0), RNG.normal(size=64)),
}  # fmt: skip


@pytest.fixture(params=sorted(SKETCHES))
def empty(request: pytest.FixtureRequest) -> Sketch:
    return SKETCHES[request.param]()


def added(empty: Any, times: int = 1) -> Any:
    for _ in range(times):
        empty = empty.add(*ADDED[empty.kind])
    return empty


def test_every_sketch_is_tried_here() -> None:
    assert sorted(SKETCHES) == sorted(ADDED)


def test_no_data_says_nothing(empty: Sketch) -> None:
    assert empty.values() == {}


def test_merging_is_adding_and_the_empty_one_changes_nothing(empty: Sketch) -> None:
    one, two = added(empty), added(empty, 2)
    assert one.merge(two) == two.merge(one) == added(empty, 3)
    assert empty.merge(one) == one.merge(empty) == one
    assert one.merge(two).merge(one) == one.merge(two.merge(one))


def test_a_sketch_is_plain_json(empty: Sketch) -> None:
    one = added(empty)
    assert msgspec.json.decode(msgspec.json.encode(one), type=type(one)) == one
    assert all(np.isfinite(value) for value in one.values().values())
    with pytest.raises(msgspec.ValidationError, match="unknown"):
        msgspec.convert({"sum": 1}, type(one))


@given(st.lists(st.floats(1e-3, 1e7), min_size=1, max_size=300), st.integers(1, 8))
def test_percentiles_are_within_one_percent_after_a_merge_of_eight(values: list[float], partitions: int) -> None:
    whole, sketch = np.array(values), SKETCHES["response_time"]()
    for place in range(partitions):
        sketch = sketch.merge(SKETCHES["response_time"]().add(whole[place::partitions]))  # type: ignore[attr-defined]
    for name, share in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99)):
        true = np.quantile(whole, share, method="lower")
        assert abs(sketch.values()[f"response_time_{name}_ms"] / true - 1) <= 0.01 + 1e-9


def test_known_values() -> None:
    say = {kind: added(SKETCHES[kind]()).values() for kind in SKETCHES}
    assert say["error_fraction"] == {"error_fraction": 3 / 64}
    assert say["throughput"] == {"throughput_per_s": 64.0}
    assert say["missing_labels"] == {"missing_label_fraction": 5 / 64}
    values, outcomes = ADDED["rmse"]
    assert say["rmse"]["rmse"] == pytest.approx(float(np.sqrt(np.mean((values - outcomes) ** 2))))
    right = np.sign(ADDED["accuracy"][0]) * np.sign(ADDED["accuracy"][1])
    assert say["accuracy"]["accuracy"] == pytest.approx(float((0.5 + 0.5 * right).mean()))
    assert say["coverage"]["interval_coverage"] == np.mean(np.abs(ADDED["coverage"][2]) <= 1)


def test_a_calibrated_forecaster_has_a_small_error_and_a_boastful_one_has_not() -> None:
    rng = np.random.default_rng(0)
    confidence = rng.random(20_000)
    right = (rng.random(20_000) < confidence) * 1.0
    calibration: Any = SKETCHES["calibration"]()
    assert calibration.add(confidence, right).values()["calibration_error"] < 0.02
    assert calibration.add(np.full(20_000, 0.9), right).values()["calibration_error"] == pytest.approx(0.4, abs=0.02)
