"""Features that read another series: found beside the candles, learned from, and learned from again."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from evenhand.cli import exits
from evenhand.cli.run import run
from evenhand.errors import EvenhandError, InvalidConfiguration
from evenhand.training.examples import FloatArray
from models.beside import with_series
from models.candle_files import read_candles
from models.config import models_config
from models.store import ModelStore
from models.training import train_default

START, COUNT = 1_500_000_000_000, 2000
READS = {"kind": "relative_return", "series": "market", "candles": 1}


def _write(path: Path, returns: FloatArray, first: int = 0) -> None:
    close = 100 * np.exp(np.cumsum(returns))
    opened = np.concatenate([close[:1], close[:-1]])
    pl.DataFrame(
        {
            "open_time": START + (first + np.arange(len(close))) * 3_600_000,
            "open": opened, "high": np.maximum(opened, close), "low": np.minimum(opened, close), "close": close,
            "volume": np.ones(len(close)),
        }
    ).write_csv(path)  # fmt: skip


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Prices that follow the market's by an hour, and the market, which begins later."""
    random = np.random.default_rng(1)
    market = random.normal(0.0, 0.005, COUNT)
    _write(tmp_path / "follower.csv", 0.5 * np.append(0.0, market[:-1]) + random.normal(0.0, 0.005, COUNT))
    _write(tmp_path / "leader.csv", market[100:], first=100)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EVENHAND_HOME", str(tmp_path / "var"))
    return tmp_path / "follower.csv"


def _train(data: Path, capsys: pytest.CaptureFixture[str], *more: str) -> dict[str, Any]:
    command = ["train", "--data", str(data), "--models", "naive,ridge,lightgbm", "--no-tracking", "--json", *more]
    assert run(command) == exits.OK
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_who_sees_the_leader_has_skill(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _train(data, capsys, "--no-register")["models"]["ridge"]["verdict"] == "no skill"
    seen = _train(data, capsys, "--beside", "market=leader.csv")
    assert seen["models"]["ridge"]["verdict"] == "skill"
    assert seen["data"] == "follower.csv beside market=leader.csv"
    assert run(["models", "show", "follower", "--json"]) == exits.OK
    assert {"relative_return_1_market", "rolling_correlation_24_market"} <= set(
        json.loads(capsys.readouterr().out)["features"]
    )


def test_a_version_is_learned_again_from_both_files(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    version = _train(data, capsys, "--beside", "market=leader.csv")["models"]["lightgbm"]["version"]
    again = ["models", "reproduce", f"follower@{version}", "--data", str(data), "--json"]
    assert run(again) != exits.OK
    assert "put its candles into" in capsys.readouterr().err, "no market.csv is beside the file"
    assert run([*again, "--beside", "market=leader.csv"]) == exits.OK
    assert json.loads(capsys.readouterr().out)["verdict"] == "identical"
    (data.parent / "leader.csv").rename(data.parent / "market.csv")
    assert run(again) == exits.OK, "found by its name"
    assert json.loads(capsys.readouterr().out)["verdict"] == "identical"


def test_a_declared_feature_finds_its_series_by_name(data: Path, tmp_path: Path) -> None:
    (tmp_path / "leader.csv").rename(tmp_path / "market.csv")
    declared = {
        "target": "log_return", "unit": "fraction", "horizon_s": 3600, "wait_s": 7200, "champion": "1.0.0",
        "features": [{"kind": "log_return", "candles": 1}, READS], "versions": [{"version": "1.0.0", "kind": "ridge"}],
    }  # fmt: skip
    store = ModelStore(tmp_path / "models")
    train_default(data, store, "follower", models_config({"models": {"follower": declared}}).endpoint("follower"))
    card = store.describe("follower", "1.0.0")
    assert card.signature.features == ("log_return_1", "relative_return_1_market")
    assert card.description.trained_from == START + 100 * 3_600_000, "from when on both are known"


def test_what_cannot_be_joined_is_refused(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    candles = read_candles(data)
    with pytest.raises(InvalidConfiguration, match=r"read the series market: put .* --beside market=FILE"):
        with_series(candles, tmp_path, [READS])
    with pytest.raises(InvalidConfiguration, match="no feature reads gold: declare one"):
        with_series(candles, tmp_path, [], {"gold": tmp_path / "leader.csv"})
    _write(tmp_path / "later.csv", np.full(50, 0.001), first=COUNT + 10)
    with pytest.raises(EvenhandError, match="no time in common with market"):
        with_series(candles, tmp_path, [READS], {"market": tmp_path / "later.csv"})
    train = ["train", "--data", str(data), "--models", "ridge", "--no-tracking"]
    for given, said in ((["market"], "write NAME=FILE"), (["a=leader.csv", "a=leader.csv"], "names a twice")):
        assert run([*train, *(each for one in given for each in ("--beside", one))]) != exits.OK
        assert said in " ".join(capsys.readouterr().err.split())
    assert run([*train, "--beside", "m=leader.csv", "--features", "a", "--target", "y"]) != exits.OK
    assert "leave --beside out" in capsys.readouterr().err
