"""`config/models.yaml`: what is misspelt or makes no sense is refused with the right word."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from evenhand.errors import InvalidConfiguration
from models.config import models_config, read_models_config

SHIPPED = Path(__file__).parents[3] / "config" / "models.yaml"


@pytest.fixture
def data() -> Any:
    return yaml.safe_load(SHIPPED.read_text())


def test_the_shipped_file_is_right() -> None:
    endpoint = read_models_config(SHIPPED).endpoint("btc-usd-1h")
    assert (endpoint.target, endpoint.horizon_s, endpoint.reference_price) == ("log_return", 3600, "close")
    assert [(each.version, each.kind) for each in endpoint.versions] == [("1.0.0", "ridge"), ("1.1.0", "boosted_trees")]
    assert endpoint.signature().features[:2] == ("log_return_1", "log_return_1_lag_1")
    assert endpoint.signature("hint").features[-1] == "hint"


def change(endpoint: Any, place: str, value: Any) -> None:
    """Put a value where a dotted path leads."""
    *way, last = (int(step) if step.isdigit() else step for step in place.split("."))
    for step in way:
        endpoint = endpoint[step]
    endpoint[last] = value


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        ("horizon", 60, "unknown field `horizon`.*did you mean 'horizon_s'"),
        ("horizon_s", 0, "horizon_s"),
        ("wait_s", 3600, "wait_s is 3600, but the last of 24 steps lies 86400 s"),
        ("champion", "1.0.1", "did you mean '1.0.0'"),
        ("features.0.kind", "log_retrun", "did you mean 'log_return'"),
        ("features.0.candle", 2, "unknown field `candle`.*did you mean 'candles'"),
        ("features.0.candles", 0, ">= 1"),
        ("features.1", {"kind": "log_return"}, "declared twice"),
        ("versions.1.kind", "boosted_tree", "did you mean 'boosted_trees'"),
        ("versions.0.parameters", {"alhpa": 1}, "1.0.0.*did you mean 'alpha'"),
        ("versions.1.version", "1.0.0", "version is declared twice"),
        ("versions.1.version", "one", "not semantic"),
        ("train_until", "2018-04-01T00:00:00", "no time zone"),
    ],
)
def test_what_is_wrong_is_named(data: Any, place: str, value: Any, message: str) -> None:
    change(data["models"]["btc-usd-1h"], place, value)
    with pytest.raises(InvalidConfiguration, match=message):
        models_config(data)


def test_a_model_that_is_not_declared_gets_a_hint(data: Any) -> None:
    with pytest.raises(InvalidConfiguration, match="did you mean 'btc-usd-1h'"):
        models_config(data).endpoint("btc-usd")


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidConfiguration, match=r"absent\.yaml"):
        read_models_config(tmp_path / "absent.yaml")
    (tmp_path / "torn.yaml").write_text("models: {")
    with pytest.raises(InvalidConfiguration, match="not YAML"):
        read_models_config(tmp_path / "torn.yaml")
