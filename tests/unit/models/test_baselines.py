"""The baselines say what their definition says."""

import numpy as np
import pytest

from evenhand.errors import InvalidConfiguration
from models.drift import Drift
from models.ewma import Ewma
from models.seasonal_naive import SeasonalNaive
from models.signature import Signature

SIGNATURE = Signature(features=("a", "b", "c"), target="y", unit="fraction", horizon_s=60, max_horizon=2)
RANDOM = np.random.default_rng(0)
ROWS, TARGETS = RANDOM.normal(size=(400, 3)), RANDOM.normal(size=(400, 2)) + 1.0


def test_seasonal_naive_repeats_the_season() -> None:
    model = SeasonalNaive(SIGNATURE, {"columns": ["c", "a"]}).fit(ROWS, TARGETS)
    assert (model.forecast(ROWS, 2) == ROWS[:, [2, 0]]).all()
    with pytest.raises(InvalidConfiguration, match="no feature 'd'"):
        SeasonalNaive(SIGNATURE, {"columns": ["d"]}).fit(ROWS, TARGETS)


def test_drift_is_the_mean_of_what_is_known() -> None:
    targets = TARGETS.copy()
    targets[-1, 1] = np.nan
    model = Drift(SIGNATURE).fit(ROWS, targets)
    assert model.forecast(ROWS[:1], 2)[0] == pytest.approx([targets[:, 0].mean(), targets[:-1, 1].mean()])


def test_ewma_is_the_recursion_carried_on_for_ever() -> None:
    model = Ewma(SIGNATURE, {"span": 9}).fit(ROWS, TARGETS)
    mean = TARGETS[0, 0]
    for value in TARGETS[1:, 0]:
        mean += 0.2 * (value - mean)
    assert model.forecast(ROWS[:3], 1)[:, 0] == pytest.approx(mean)
    by_feature = Ewma(SIGNATURE, {"column": "b"}).fit(ROWS, TARGETS)
    assert (by_feature.forecast(ROWS, 2) == ROWS[:, [1, 1]]).all()
    with pytest.raises(InvalidConfiguration, match="no feature"):
        Ewma(SIGNATURE, {"column": "x"}).fit(ROWS, TARGETS)
