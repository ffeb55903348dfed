"""What learns online goes on from where it was, and follows a world that changes."""

import msgspec
import numpy as np
import pytest

from evenhand.training.calibration import calibration_error, direction_hits
from models.base import FloatArray, Unpredictable
from models.linear import Ridge
from models.online import Online
from models.signature import Signature

SIGNATURE = Signature(features=("a", "b", "c"), target="y", unit="fraction", horizon_s=60, max_horizon=2)


def table(count: int, seed: int, slope: float = 1.0) -> tuple[FloatArray, FloatArray]:
    random = np.random.default_rng(seed)
    rows = random.normal(size=(count, 3)) * [1e-4, 1.0, 1e4]
    targets = random.normal(size=(count, 2)) * 0.01
    targets[:, 0] += slope * 100 * rows[:, 0]
    return rows, targets


def error(model: Online, rows: FloatArray, targets: FloatArray) -> float:
    return float(np.sqrt(((model.forecast(rows, 1)[:, 0] - targets[:, 0]) ** 2).mean()))


def test_it_comes_within_a_tenth_of_the_best() -> None:
    model = Online(SIGNATURE).fit(*table(5000, 1))
    assert error(model, *table(2000, 2)) <= 1.1 * 0.01


def test_going_on_is_the_same_as_never_having_stopped() -> None:
    rows, targets = table(3000, 3)
    targets[5, 1] = np.nan
    whole = Online(SIGNATURE)
    whole.learn(rows, targets, 0)
    first = Online(SIGNATURE).fit(rows[:2000], targets[:2000])
    held = first.save()
    parted = Online.load(SIGNATURE, held).updated(rows[2000:], targets[2000:])
    np.testing.assert_allclose(parted.forecast(rows, 2), whole.forecast(rows, 2), rtol=1e-12)
    assert first.save() == held  # a version never changes


def test_it_follows_when_the_world_turns_round() -> None:
    model, fresh = Online(SIGNATURE).fit(*table(3000, 4)), table(2000, 6, slope=-1.0)
    newer = model.updated(*table(20_000, 5, slope=-1.0))
    assert error(newer, *fresh) < 0.6 * error(model, *fresh)


def test_it_learns_nothing_from_rows_that_are_none() -> None:
    model = Online(SIGNATURE).fit(*table(500, 7))
    with pytest.raises(Unpredictable, match="feature 'b' of row 0"):
        model.updated(np.array([[0.0, np.nan, 0.0]]), np.zeros((1, 2)))
    with pytest.raises(Unpredictable, match="targets have shape"):
        model.updated(np.zeros((1, 3)), np.zeros((1, 1)))


def test_every_model_learns_from_outcomes_how_far_off_it_is() -> None:
    rows, targets = table(3000, 9)
    model = Ridge(SIGNATURE).fit(rows[:1000], targets[:1000])
    held, targets = model.save(), targets * 3.0  # the world got three times as wild
    newer = model.updated(rows[1000:], targets[1000:])
    in_parts = model
    for start in range(1000, 3000, 400):
        in_parts = in_parts.updated(rows[start : start + 400], targets[start : start + 400])
    assert in_parts.save() == newer.save()
    assert model.save() == held

    def covered(one: Ridge) -> float:
        intervals = one.predict(rows[2000:], 1).intervals
        assert intervals is not None
        return float(np.mean([low <= y <= high for [(low, high)], y in zip(intervals, targets[2000:, 0], strict=True)]))

    assert covered(model) < 0.7
    assert covered(newer) == pytest.approx(0.9, abs=0.03)


def test_confidence_is_the_share_of_right_directions_and_follows_the_volatility_of_the_row() -> None:
    signature = msgspec.structs.replace(SIGNATURE, features=("a", "b", "volatility_24"), max_horizon=1)
    random = np.random.default_rng(10)
    spread = np.exp(random.normal(size=12_000))
    rows = np.column_stack([random.normal(size=(12_000, 2)), spread])
    targets = (rows[:, 0] + random.normal(size=12_000) * spread)[:, None]
    model = Ridge(signature, {"alpha": 1.0}).fit(rows[:8000], targets[:8000])
    answer = model.predict(rows[8000:])
    confidence, values = np.array(answer.confidence)[:, 0], np.array(answer.values)[:, 0]
    hits = direction_hits(values, targets[8000:, 0])
    assert calibration_error(confidence, hits) <= 0.04  # 4000 outcomes: one bin's own noise is 0.025
    assert confidence.max() > 0.85
    reach = np.array([high - low for [(low, high)] in answer.intervals or []])
    assert np.corrcoef(reach, spread[8000:])[0, 1] > 0.99
