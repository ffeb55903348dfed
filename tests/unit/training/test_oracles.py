"""Splits are those of sktime and mlforecast, and comparisons agree with the Diebold-Mariano test of statsmodels."""

import json
import math
from typing import Any

import numpy as np
import pytest

from evenhand.training.examples import Examples
from evenhand.training.scores import compare
from evenhand.training.walk_forward import WalkForward
from tests.unit.training.oracles import GOLDEN, ROWS, forecasts

SAID: dict[str, Any] = json.loads(GOLDEN.read_text())


@pytest.mark.parametrize("split", SAID["splits"], ids=lambda one: f"{one['of']}-{one['window']}-{one['horizon']}")
def test_folds_are_those_that_others_cut(split: dict[str, Any]) -> None:
    """Observation i is forecast at time i and known at i + 1; what they call the cutoff is the last one known."""
    made = np.arange(ROWS, dtype=np.int64)
    examples = Examples(made, made[:, None] + 1, np.zeros((ROWS, 1)), np.zeros((ROWS, 1)))
    first = split["folds"][0][1] + 1
    plan = WalkForward(start_ms=first, test_ms=split["step"], train_ms=split["window"], minimum_rows=1)
    ours = [
        [int(fold.train[0]), int(fold.train[-1]), fold.test[: split["horizon"]].tolist()]
        for fold in plan.folds(examples)
        if len(fold.test) >= split["horizon"]
    ]
    assert ours == split["folds"]


@pytest.mark.parametrize(("seed", "horizon", "skill", "statistic", "p_value"), SAID["diebold_mariano"])
def test_a_comparison_says_what_diebold_and_mariano_say(
    seed: int, horizon: int, skill: float, statistic: float, p_value: float
) -> None:
    truth, ours, theirs = forecasts(seed, horizon, skill)
    found = compare(ours, theirs, truth, horizon, "zero")
    improvement = found.improvement
    half = (improvement.high - improvement.low) / 2
    ours_in_sds = improvement.mean / (half / 1.96)
    # Batch means and a Bartlett window estimate the same long-run variance.
    assert ours_in_sds == pytest.approx(statistic, rel=0.35)
    assert math.copysign(1, improvement.mean) == math.copysign(1, statistic)
    if p_value < 0.001:
        assert found.better
    if p_value > 0.2:
        assert not found.better
