"""`evenhand train`: from a file to a verdict and versions."""

import json
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import numpy as np
import polars as pl
import psutil
import pytest

import trainer.walking
from evenhand.cli import exits
from evenhand.cli.run import run
from evenhand.errors import EvenhandError, InvalidConfiguration
from evenhand.training.examples import Examples, FloatArray
from evenhand.training.walk_forward import Fold, forecast_fold
from models.store import ModelStore
from trainer.pipeline import train
from trainer.progress import Told
from trainer.settings import TrainingSettings
from trainer.tuning import tune

QUIET = Told(lambda _: None)
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
    assert models["ensemble"]["version"] == "1.2.0"
    assert [one["regret"] <= one["bound"] for one in report["regrets"]] == [True, True]
    first, _ = report["scores"]["ridge"]
    assert first["pinball"] > 0
    assert first["profit"]["low"] < first["profit"]["mean"] < first["profit"]["high"]
    assert [one["baseline"] for one in first["comparisons"]] == ["drift", "ewma", "naive"]
    assert report["trials"] == 4 * 2  # models that walked, steps
    served = ModelStore(data.parent / "var" / "models").load("momentum", "1.2.0")
    assert served.forecast(np.zeros((1, 9)), 2).shape == (1, 2)
    assert len(report["curves"]["lightgbm"]) == 1 + 100
    assert run(["models", "changelog", "momentum", "--json"]) == exits.OK
    entries = json.loads(capsys.readouterr().out)
    assert list(entries) == ["1.2.0", "1.1.0", "1.0.0"]
    assert "Major change.\n\n- first version" in entries["1.0.0"]
    assert "Minor change.\n\n- boosted_trees instead of ridge" in entries["1.1.0"]
    assert re.search(
        r"\| RMSE, step 2 \| 0\.\d+ \(0\.\d+ to 0\.\d+\) \| 0\.\d+ \(0\.\d+ to 0\.\d+\) \| ", entries["1.1.0"]
    )
    assert "direction accuracy, step 1" in entries["1.2.0"]
    assert run([*command[:4], "ridge", "--horizon", "2", "--json"]) == exits.OK
    assert json.loads(capsys.readouterr().out)["models"]["ridge"]["version"] == "1.3.0"  # ridge instead of the ensemble
    assert run([*command[:4], "ridge", "--horizon", "1", "--json"]) == exits.OK
    assert json.loads(capsys.readouterr().out)["models"]["ridge"]["version"] == "2.0.0"  # fewer steps


def test_a_run_that_was_killed_goes_on_where_it_was(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = TrainingSettings(data=data, models=("ridge",))
    whole = train(settings, None, None, tmp_path / "whole", QUIET)
    done: list[int] = []

    def killed(*given: object) -> object:
        if len(done) == 6:
            raise KeyboardInterrupt
        done.append(1)
        return forecast_fold(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(trainer.walking, "forecast_fold", killed)
    with pytest.raises(KeyboardInterrupt):
        train(settings, None, None, tmp_path / "kept", QUIET)
    done.clear()
    again = train(settings, None, None, tmp_path / "kept", QUIET)
    assert len(done) == 12 - 6  # three models, four folds
    assert again == whole


def test_what_was_repaired_can_be_reproduced_and_what_is_not_there_is_named(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    header, *rows = data.read_text().splitlines()
    data.write_text("\n".join([header, *rows[:900], rows[500], *rows[900:]]) + "\n")
    trained = ["train", "--data", str(data), "--models", "ridge", "--folds", "1", "--no-tracking"]
    assert run(trained) == exits.FAILED
    assert "row 901" in capsys.readouterr().err
    assert run([*trained, "--repair"]) == exits.OK
    assert run(["models", "reproduce", "momentum@1.0.0", "--data", str(data), "--json"]) == exits.OK
    assert '"verdict":"identical"' in capsys.readouterr().out.replace(" ", "")
    assert run(["models", "compare", "momentum@1.0.0", "momentun@1.0.0"]) == exits.FAILED
    assert "no version 1.0.0 of model momentun" in capsys.readouterr().err


def test_another_version_of_a_library_does_not_find_the_folds_of_the_last_one(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = TrainingSettings(data=data, models=("ridge",), folds=1)
    train(settings, None, None, tmp_path / "kept", QUIET)
    before = len(list((tmp_path / "kept").iterdir()))
    train(settings, None, None, tmp_path / "kept", QUIET)
    assert len(list((tmp_path / "kept").iterdir())) == before
    monkeypatch.setattr(trainer.walking, "libraries", lambda: {"lightgbm": "another"})
    train(settings, None, None, tmp_path / "kept", QUIET)
    assert len(list((tmp_path / "kept").iterdir())) == 2 * before


def test_the_same_data_and_seed_give_the_same_files(data: Path, tmp_path: Path) -> None:
    settings = TrainingSettings(data=data, models=("lightgbm",))
    saved = []
    for name in ("a", "b"):
        store = ModelStore(tmp_path / name)
        train(settings, None, store, tmp_path / "kept", QUIET)
        saved.append(store.describe("momentum", "1.0.0").files)
    assert saved[0] == saved[1]


def test_what_cannot_be_trained_is_refused(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(InvalidConfiguration, match="did you mean 'ridge'"):
        TrainingSettings(data=data, models=("rigde",)).kinds()
    assert run(["train", "--data", "nowhere.csv"]) == exits.FAILED
    assert "there is no such file" in capsys.readouterr().err
    assert run(["train", "--data", str(data), "--seed", "-1"]) == exits.USAGE
    assert "--seed" in capsys.readouterr().err


def test_the_usual_season_is_the_last_returns_and_no_other_feature(data: Path, tmp_path: Path) -> None:
    settings = TrainingSettings(data=data, models=("seasonal_naive",), horizon=5, folds=1)
    report = train(settings, None, ModelStore(tmp_path / "models"), tmp_path / "kept", QUIET)
    lags = ("log_return_1_lag_2", "log_return_1_lag_1", "log_return_1")
    assert report.parameters["seasonal_naive"]["columns"] == lags
    assert report.models["seasonal_naive"].mase < 2  # returns over a day are nobody's next hour


def test_a_name_that_nothing_can_be_saved_by_is_refused_before_anything_is_learned(data: Path, tmp_path: Path) -> None:
    told: list[str] = []
    settings = TrainingSettings(data=data, models=("ridge",), model="my momentum")
    with pytest.raises(InvalidConfiguration, match="my momentum"):
        train(settings, None, ModelStore(tmp_path / "models"), tmp_path / "kept", Told(told.append))
    assert told == []


def test_candles_that_never_warm_up_are_refused_with_the_reason(data: Path, tmp_path: Path) -> None:
    candles = pl.read_csv(data)
    market = tmp_path / "market.csv"
    candles.filter(pl.int_range(pl.len()) % 24 < 7).write_csv(market)  # seven hours a day
    with pytest.raises(EvenhandError, match=r"0 rows are left to learn from.*behind each gap"):
        train(TrainingSettings(data=market, models=("ridge",)), None, None, tmp_path / "kept", QUIET)


def test_processes_in_parallel_give_the_same_numbers_as_one(data: Path, tmp_path: Path) -> None:
    settings = TrainingSettings(data=data, models=("lightgbm",), workers=1)
    alone = train(settings, None, None, tmp_path / "alone", QUIET)
    together = train(msgspec.structs.replace(settings, workers=2), None, None, tmp_path / "together", QUIET)
    assert alone == together


@pytest.mark.slow
def test_killed_with_all_its_processes_it_goes_on_where_it_was(data: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "evenhand.cli", "train", "--data", str(data), "--models", "ridge,lightgbm,lstm"]
    command += ["--workers", "2", "--no-register", "--no-tracking", "--json"]
    kept = tmp_path / "var" / "models" / ".folds"
    first = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=tmp_path)
    deadline = time.monotonic() + 120
    while len(list(kept.glob("*.npy"))) < 5 and time.monotonic() < deadline:
        time.sleep(0.02)
    children = psutil.Process(first.pid).children(recursive=True)
    first.kill()
    first.wait()
    psutil.wait_procs(children, timeout=30)
    assert not [child for child in children if child.is_running()]  # none is left behind
    done = {path.name: path.stat().st_mtime_ns for path in kept.glob("*.npy")}
    assert 5 <= len(done) < 20
    again = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path, timeout=120)
    assert f"{len(done)} folds were done before" in again.stderr
    assert {name: (kept / name).stat().st_mtime_ns for name in done} == done
    shutil.rmtree(kept)
    whole = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path, timeout=120)
    assert whole.stdout == again.stdout


def test_tuning_is_done_inside_the_fold_and_every_trial_is_counted(data: Path, tmp_path: Path) -> None:
    settings = TrainingSettings(data=data, models=("ridge",), folds=2, tune=4)
    store = ModelStore(tmp_path / "models")
    report = train(settings, None, store, tmp_path / "kept", QUIET)
    assert report.trials == 3 * 4
    assert report.parameters["ridge"] == {"alpha": pytest.approx(store.load("momentum", "1.0.0").parameters.alpha)}
    signature = store.load("momentum", "1.0.0").signature
    random = np.random.default_rng(1)
    rows, targets = random.normal(size=(400, 9)), random.normal(size=(400, 1))
    usual = {"alpha": 0.5}
    chosen = tune("ridge", signature, usual, (rows, targets), 3, 8)
    assert chosen["alpha"] > 1000  # noise: the heaviest penalty is best
    assert tune("ridge", signature, usual, (rows, targets), 3, 8) == chosen
    assert tune("ridge", signature, usual, (rows, targets), 3, 1) == usual
    assert tune("drift", signature, {}, (rows, targets), 3, 8) == {}  # nothing to tune
    with pytest.raises(InvalidConfiguration, match="too few to tune"):
        tune("ridge", signature, usual, (rows[:2], targets[:2] * np.nan), 3, 8)


def test_folds_may_roll_and_leave_a_gap(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Fold] = []

    def note(examples: Examples, fold: Fold, *given: object) -> FloatArray:
        seen.append(fold)
        assert examples.made_at[fold.train].min() >= fold.start - 10 * 86_400_000
        assert examples.known_at[fold.train].max() <= fold.start - 5 * 3_600_000
        return forecast_fold(examples, fold, *given)  # type: ignore[arg-type]

    monkeypatch.setattr(trainer.walking, "forecast_fold", note)
    settings = TrainingSettings(data=data, models=("ridge",), folds=2, window_days=10, embargo_hours=5)
    train(settings, None, None, tmp_path / "kept", QUIET)
    assert [len(fold.train) for fold in seen] == [10 * 24 - 5 - 1] * 6  # the last label is not known yet
