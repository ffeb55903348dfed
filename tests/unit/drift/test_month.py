"""A simulated month of 1,000 features, one false alarm allowed: quiet, and with three planted changes."""

import pytest

from tests.benchmarks.drift.jointly import month

LIMITS = {"f17": 40, "f400": 110, "venue": 200}  # events: of 1 sd, of the spread, of a share


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_without_drift_there_is_at_most_one_false_incident() -> None:
    found = month(print, planted=False)[-1]
    assert found["false_alarms_per_100k"] * 730 * 20 / 1e5 <= 1


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_three_planted_changes_are_found_and_the_right_feature_is_named() -> None:
    *found, whole = month(print, planted=True)
    assert whole["missed"] == 0
    assert whole["false_alarms_per_100k"] * 730 * 20 / 1e5 <= 1
    assert len(found) == len(LIMITS)
    for each in found:
        feature = each["stream"].rsplit(" ", 1)[1]
        assert each["median_delay"] <= LIMITS[feature], each
