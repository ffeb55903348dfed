"""False alarms are what was set, or fewer: counted on streams without drift, with the Monte Carlo error stated."""

import numpy as np
import pytest
from scipy.signal import lfilter

from evenhand.drift.base import Floats
from evenhand.drift.panel import MONTH_MS, Panel, panel_of

FEATURES = 10


def columns(rng: np.random.Generator, n: int, phi: float) -> dict[str, Floats]:
    noise = rng.normal(size=(FEATURES, n)) * np.sqrt(1 - phi * phi)
    values = lfilter([1.0], [1.0, -phi], noise, axis=1)
    return {f"f{i}": column for i, column in enumerate(values)}


def months_alarms(per_month: float, phi: float, months: int, seed: int) -> int:
    """Alarms in months of 240 epochs of 50 events; each has its own reference, and is armed again after an alarm."""
    rng, alarms = np.random.default_rng(seed), 0
    for _ in range(months):
        panel: Panel = panel_of(columns(rng, 10_000, phi), per_month=per_month)
        state, seen, month = panel.start(), 0, columns(rng, 240 * 50, phi)
        for epoch in range(240):
            rows = {name: column[epoch * 50 : (epoch + 1) * 50] for name, column in month.items()}
            state = panel.absorb(state, panel.evidence(rows, seen), MONTH_MS // 240)
            seen += 50
            if state.alarm_at is not None:
                alarms, state = alarms + 1, panel.start()
    return alarms


@pytest.mark.parametrize("phi", [0.0, 0.8])
def test_a_high_setting_is_not_exceeded(phi: float) -> None:
    # 20 are allowed in 10 months at 2 a month; if the true mean were 20, more than 33 would come in 0.3 % of runs.
    assert months_alarms(2, phi, months=10, seed=41) <= 33


@pytest.mark.slow
@pytest.mark.parametrize("phi", [0.0, 0.8])
def test_alarms_per_month_are_at_most_what_was_set(phi: float) -> None:
    # 200 are allowed in 100 months. Twenty per cent more would be 240; three standard errors of 200 are 42.
    assert months_alarms(2, phi, months=100, seed=42) <= 240
