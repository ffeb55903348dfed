"""What a setting would have raised on a history, what a window as reference is, and what the file may not say."""

import numpy as np
import pytest

from evenhand.drift.calibrate import by_epoch, raised
from evenhand.drift.configured import read_watches
from evenhand.drift.line import Line
from evenhand.drift.lowest import cluster_hash
from evenhand.drift.watch import DriftBegan, WatchRule
from evenhand.errors import InvalidConfiguration
from evenhand.events import SampledRow
from evenhand.monitoring import DriftRule

HOUR_MS = 3_600_000
RULE = DriftRule(features=("a", "b"), false_alarms_per_month=1.0, reference="learned", reference_size=500)


def history(hours: int, *, from_hour: int | None = None, shift: float = 1.5, seed: int = 0) -> list[SampledRow]:
    """Hourly rows of two features; from an hour on, b is moved."""
    rng = np.random.default_rng(seed)
    rows = []
    for hour in range(hours):
        a, b = rng.normal(), rng.normal() + (shift if from_hour is not None and hour >= from_hour else 0.0)
        rows.append(SampledRow(cluster_hash(str(hour)), hour * HOUR_MS + 5, (float(a), float(b))))
    return rows


def test_a_history_without_drift_raises_nothing_and_says_what_was_allowed() -> None:
    found = raised(RULE, by_epoch(history(3000), 60_000), 60_000, None)
    assert found.alarms == ()
    assert found.expected == pytest.approx(2500 * HOUR_MS / 2_629_746_000, rel=0.01), "hours armed, in months"
    assert found.rows == 3000


def test_a_change_is_named_with_its_day_and_then_becomes_normal() -> None:
    found = raised(RULE, by_epoch(history(3000, from_hour=1500), HOUR_MS), HOUR_MS, None)
    assert [(alarm.feature, alarm.cause) for alarm in found.alarms] == [("b", "mean")]
    began = found.alarms[0].time // HOUR_MS
    assert 1500 < began < 1530
    assert found.alarms[0].over == (began + 500) * HOUR_MS


def test_the_budget_is_spent_by_time_whatever_the_length_of_an_epoch() -> None:
    short, long = (raised(RULE, by_epoch(history(3000), each), each, None) for each in (60_000, 6 * HOUR_MS))
    assert short.armed_months == pytest.approx(long.armed_months, rel=0.02)


def test_a_training_sample_arms_at_once() -> None:
    sample = {"a": np.random.default_rng(1).normal(size=2000), "b": np.random.default_rng(2).normal(size=2000)}
    rule = DriftRule(features=("a", "b"), false_alarms_per_month=1.0)
    found = raised(rule, by_epoch(history(600, from_hour=100), HOUR_MS), HOUR_MS, sample)
    assert found.alarms[0].feature == "b"
    assert found.alarms[0].time < 130 * HOUR_MS


def test_a_window_is_a_reference_once_it_is_over() -> None:
    line = Line(WatchRule(per_100k=1), ("a", "b"), (100 * HOUR_MS, 700 * HOUR_MS))
    began = []
    for epoch, rows in by_epoch(history(1200, from_hour=1000), HOUR_MS):
        signals, _ = line.take(epoch, HOUR_MS, rows)
        began += [signal.epoch for signal in signals if isinstance(signal, DriftBegan)]
        if epoch == 699:
            assert line.watch.phase == "learning"
        if epoch == 700:
            assert line.watch.panel is not None
            assert line.watch.panel.features["a"].reference.n == 600
    assert len(began) == 1
    assert 1000 <= began[0] < 1040


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("models: {m: {drift: {false_alarms_per_month: 1, false_alarms_per_100k: 1}}}", "not both"),
        ("models: {m: {drift: {reference: window}}}", "window"),
        ("models: {m: {drift: {features: [a]}}}", "only"),
        ("models: {m: {drift: {wached: [inputs]}}}", "did you mean watched"),
        ("models: {m: {loss: sqared_error}}", "squared_error"),
        ("models: {m: {drift: {reference: window, window: [5, 4]}}}", "end"),
        ("models: {m: {drift: {false_alarms_per_month: 0}}}", "false_alarms_per_month"),
    ],
)
def test_what_makes_no_sense_is_refused_with_what_to_write(text: str, said: str) -> None:
    with pytest.raises(InvalidConfiguration, match=said):
        read_watches(text)


def test_a_feature_that_the_model_does_not_have_is_named() -> None:
    declared = read_watches("models: {m: {drift: {only: [volatilty]}}}").models["m"]
    with pytest.raises(InvalidConfiguration, match=r"volatilty.*volatility"):
        declared.monitoring(("volatility", "volume"), 0)


def test_a_number_out_of_range_is_named() -> None:
    declared = read_watches("models: {m: {epoch_s: 0}}").models["m"]
    with pytest.raises(InvalidConfiguration, match=r"expected int >= 1 - at \$.epoch_s"):
        declared.monitoring(("a",), 0)


def test_too_little_history_shows_nothing() -> None:
    with pytest.raises(InvalidConfiguration, match="at least"):
        raised(RULE, by_epoch(history(50), HOUR_MS), HOUR_MS, None)
