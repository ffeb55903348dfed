"""What learns online goes on from where it was, and follows a world that changes."""

import numpy as np
import pytest

from models.base import FloatArray, Unpredictable
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
