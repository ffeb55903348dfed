"""Histories of a user's own: gaps are left out, and what cannot be read is named."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from evenhand.cli.drift_history import of_file
from evenhand.errors import InvalidConfiguration
from evenhand.monitoring import DriftRule, Monitoring

RULE, T = DriftRule(features=("a", "b")), 1_542_153_600_000
COLUMNS: dict[str, Any] = {"time": np.arange(6) * 60_000 + T, "a": np.arange(6.0), "b": np.ones(6)}


def read(path: Path, **change: Any) -> list[tuple[float, ...]]:
    pl.DataFrame(COLUMNS | change).write_parquet(path / "h.parquet")
    return [row.values for _, rows in of_file(path / "h.parquet", RULE, Monitoring()) for row in rows]


def test_rows_with_a_gap_are_left_out(tmp_path: Path) -> None:
    gaps = [None, np.nan, np.inf, 3.0, 4.0, 5.0]
    assert read(tmp_path) == [(float(number), 1.0) for number in range(6)]
    assert read(tmp_path, a=gaps) == [(3.0, 1.0), (4.0, 1.0), (5.0, 1.0)]


@pytest.mark.parametrize(("change", "said"), [
    ({"time": COLUMNS["time"] // 1000}, "1542153600 is not between 2000 and 2100"),
    ({"time": ["soon"] * 6}, "parse dates"),
    ({"a": ["x"] * 6}, "conversion from `str` to `f64` failed"),
])  # fmt: skip
def test_what_cannot_be_read_is_named(tmp_path: Path, change: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidConfiguration, match=said):
        read(tmp_path, **change)
