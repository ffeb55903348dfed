"""The version follows from what has changed."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evenhand.errors import InvalidConfiguration
from evenhand.training.versioning import Measured, Release, accept, changelog, derive

BASE = Release(features=("a", "b"), target="log_return", unit="fraction", horizon_s=3600, max_horizon=7, kind="ridge")


@pytest.mark.parametrize(
    ("change", "version", "reason"),
    [
        ({}, "1.2.4", "fitted again"),
        ({"trained_to": "2024-01-01"}, "1.2.4", "to 2024-01-01"),
        ({"metrics": {"rmse": Measured(1, 0, 2)}}, "1.2.4", "fitted again"),
        ({"kind": "lstm"}, "1.3.0", "lstm instead of ridge"),
        ({"parameters": {"alpha": 2}}, "1.3.0", "other parameters: alpha"),
        ({"code": "abc"}, "1.3.0", "code of the features"),
        ({"features": ("a", "b", "c")}, "1.3.0", "new features: c"),
        ({"max_horizon": 24}, "1.3.0", "24 steps instead of 7"),
        ({"max_horizon": 1}, "2.0.0", "answers 1 steps, not 7"),
        ({"features": ("a",)}, "2.0.0", "features gone: b"),
        ({"features": ("b", "a")}, "2.0.0", "another order"),
        ({"features": ("a", "c", "b")}, "2.0.0", "another order"),
        ({"features": ("a", "x")}, "2.0.0", "features gone: b"),
        ({"target": "price"}, "2.0.0", "target is 'price', was 'log_return'"),
        ({"unit": "percent"}, "2.0.0", "unit is 'percent'"),
        ({"horizon_s": 60}, "2.0.0", "horizon_s is 60"),
        ({"aligned": False}, "2.0.0", "aligned is False"),
        ({"reference_price": "close"}, "2.0.0", "reference_price is 'close'"),
        ({"horizon_s": 60, "kind": "lstm"}, "2.0.0", "lstm instead of ridge"),
    ],
)
def test_each_change_has_its_version(change: dict[str, Any], version: str, reason: str) -> None:
    derived = derive("1.2.3", BASE, msgspec.structs.replace(BASE, **change))
    assert derived.version == version
    assert reason in "; ".join(derived.reasons)


def test_the_first_version_is_one() -> None:
    assert derive(None, None, BASE).version == "1.0.0"


@given(st.lists(st.sampled_from(["refit", "kind", "break"]), max_size=30))
def test_versions_only_rise(changes: list[str]) -> None:
    last, now = "1.0.0", BASE
    for count, change in enumerate(changes):
        before, number = now, str(count)
        if change == "kind":
            now = msgspec.structs.replace(now, kind=f"kind{number}")
        elif change == "break":
            now = msgspec.structs.replace(now, target=f"target{number}")
        version = derive(last, before, now).version
        assert tuple(map(int, version.split("."))) > tuple(map(int, last.split(".")))
        last = version


def test_a_typed_version_is_kept_if_it_follows_and_refused_with_the_right_one_if_not() -> None:
    derived = derive("1.2.3", BASE, msgspec.structs.replace(BASE, kind="lstm"))
    assert accept(None, derived) == accept("1.3.0", derived) == "1.3.0"
    with pytest.raises(
        InvalidConfiguration, match=r"version 1\.2\.4 does not follow: lstm instead of ridge, so it is 1\.3\.0"
    ):
        accept("1.2.4", derived)
    with pytest.raises(InvalidConfiguration, match="MAJOR"):
        derive("1.2", BASE, BASE)


def test_the_changelog_has_reasons_and_metrics_with_intervals() -> None:
    before = msgspec.structs.replace(BASE, metrics={"rmse": Measured(1.0, 0.9, 1.1)})
    after = msgspec.structs.replace(
        BASE, kind="lstm", metrics={"rmse": Measured(0.95, 0.85, 1.05), "mae": Measured(0.5, 0.4, 0.6)}
    )
    text = changelog("btc", derive("1.2.3", before, after), before, after)
    assert text.startswith("## btc 1.3.0\n\nMinor change.\n\n- lstm instead of ridge\n")
    assert "| rmse | 1 (0.9 to 1.1) | 0.95 (0.85 to 1.05) | -0.05, within the intervals |" in text
    assert "| mae | - | 0.5 (0.4 to 0.6) | - |" in text
