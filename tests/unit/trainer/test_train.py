"""`evenhand train`: from a file to a verdict and versions."""

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import trainer.pipeline
from evenhand.cli import exits
from evenhand.cli.run import run
from evenhand.errors import InvalidConfiguration
from evenhand.training.walk_forward import forecast_fold
from models.store import ModelStore
from trainer.pipeline import train
from trainer.settings import TrainingSettings

START = 1_500_000_000_000


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Prices whose returns follow the last one, in a folder where nothing was started."""
    random, count = np.random.default_rng(1), 2000
    returns = np.zeros(count)
    for place in range(1, count):
        returns[place] = 0.7 * returns[place - 1] + random.normal() * 0.005
    close = 100 * np.exp(np.cumsum(returns))
    opened = np.concatenate([close[:1], close[:-1]])
    path = tmp_path / "momentum.csv"
    pl.DataFrame(
        {
            "open_time": START + np.arange(count) * 3_600_000,
            "open": opened,
            "high": np.maximum(opened, close) * 1.001,
            "low": np.minimum(opened, close) / 1.001,
            "close": close,
            "volume": random.exponential(size=count),
        }
    ).write_csv(path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EVENHAND_HOME", str(tmp_path / "var"))
    return path


def test_the_command_says_who_has_skill_and_registers_versions(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["train", "--data", str(data), "--models", "naive,ridge,lightgbm,ensemble", "--horizon", "2", "--json"]
    assert run(command) == exits.OK
    report = json.loads(capsys.readouterr().out)
    models = report["models"]
    assert {name for name, one in models.items() if one["verdict"] == "skill"} >= {"ridge", "lightgbm", "ensemble"}
    assert models["naive"]["verdict"] == models["drift"]["verdict"] == "no skill"
    assert set(models["ridge"]) == {
        "rmse", "mae", "mase", "direction_accuracy", "coverage_90", "calibration_error", "verdict", "version",
    }  # fmt: skip
    assert (models["ridge"]["version"], models["lightgbm"]["version"]) == ("1.0.0", "1.1.0")
    assert models["naive"]["version"] is None
    assert run([*command[:4], "ridge", "--horizon", "2", "--json"]) == exits.OK
    assert json.loads(capsys.readouterr().out)["models"]["ridge"]["version"] == "1.2.0"  # ridge instead of trees
    assert run([*command[:4], "ridge", "--horizon", "1", "--json"]) == exits.OK
    assert json.loads(capsys.readouterr().out)["models"]["ridge"]["version"] == "2.0.0"  # fewer steps


def test_a_run_that_was_killed_goes_on_where_it_was(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = TrainingSettings(data=data, models=("ridge",))
    whole = train(settings, None, None, tmp_path / "whole", lambda _: None)
    done: list[int] = []

    def killed(*given: object) -> object:
        if len(done) == 6:
            raise KeyboardInterrupt
        done.append(1)
        return forecast_fold(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(trainer.pipeline, "forecast_fold", killed)
    with pytest.raises(KeyboardInterrupt):
        train(settings, None, None, tmp_path / "kept", lambda _: None)
    done.clear()
    again = train(settings, None, None, tmp_path / "kept", lambda _: None)
    assert len(done) == 12 - 6  # three models, four folds
    assert again == whole


def test_the_same_data_and_seed_give_the_same_files(data: Path, tmp_path: Path) -> None:
    settings = TrainingSettings(data=data, models=("lightgbm",))
    saved = []
    for name in ("a", "b"):
        store = ModelStore(tmp_path / name)
        train(settings, None, store, tmp_path / "kept", lambda _: None)
        saved.append(store.describe("momentum", "1.0.0").files)
    assert saved[0] == saved[1]


def test_what_cannot_be_trained_is_refused(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(InvalidConfiguration, match="did you mean 'ridge'"):
        TrainingSettings(data=data, models=("rigde",)).kinds()
    assert run(["train", "--data", "nowhere.csv"]) == exits.FAILED
    assert "there is no such file" in capsys.readouterr().err
