"""A table of somebody's own features is trained on as candles are."""

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from evenhand.cli import exits
from evenhand.cli.run import run
from evenhand.errors import EvenhandError, InvalidConfiguration
from evenhand.training.contest import contest
from evenhand.training.leakage import LeakFound
from evenhand.training.walk_forward import WalkForward
from models.candle_files import InvalidCandles
from trainer.feature_table import read_feature_table
from trainer.pipeline import train, walk_plan
from trainer.preparation import prepare
from trainer.progress import Told
from trainer.settings import TrainingSettings
from trainer.walking import Plan, Walker, walk_all

QUIET = Told(lambda _: None)


@pytest.fixture
def frame() -> pl.DataFrame:
    random = np.random.default_rng(1)
    a, b = random.normal(size=(2, 2000))
    times = 1_500_000_000_000 + np.arange(2000) * 60_000
    return pl.DataFrame({"time": times, "a": a, "b": b, "y": 0.01 * (0.8 * a + random.normal(size=2000)), "more": a})


@pytest.fixture
def path(tmp_path: Path, frame: pl.DataFrame, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EVENHAND_HOME", str(tmp_path / "var"))
    frame.write_parquet(tmp_path / "features.parquet")
    return tmp_path / "features.parquet"


def test_the_command_takes_a_table_of_features(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["train", "--data", str(path), "--features", "a,b", "--target", "y", "--models", "naive,ridge,lightgbm"]
    assert run([*command, "--no-tracking", "--json"]) == exits.OK
    report = json.loads(capsys.readouterr().out)
    assert {name for name, one in report["models"].items() if one["verdict"] == "skill"} >= {"ridge", "lightgbm"}
    assert report["models"]["ridge"]["version"] == "1.0.0"
    assert run(["models", "show", "features", "--json"]) == exits.OK
    shown = json.loads(capsys.readouterr().out)
    assert (shown["features"], shown["target"], shown["horizon_s"]) == (["a", "b"], "y", 60)
    assert run(["models", "reproduce", "features@1.1.0", "--data", str(path), "--json"]) == exits.OK
    assert json.loads(capsys.readouterr().out)["verdict"] == "identical"
    pl.read_parquet(path).with_columns(b=pl.col("b") + 1).write_parquet(path)
    assert run(["models", "reproduce", "features@1.1.0", "--data", str(path), "--json"]) == exits.FAILED
    assert "another table" in capsys.readouterr().err


def test_steps_are_those_of_the_rows_that_follow(path: Path, frame: pl.DataFrame) -> None:
    frame.filter(pl.int_range(pl.len()) != 100).write_parquet(path)  # a row is missing
    table, interval, _ = read_feature_table(path, ["a", "b"], "y", 3)
    y = frame["y"].to_numpy()
    assert interval == 60_000
    np.testing.assert_array_equal(table.targets[10], y[10:13])
    np.testing.assert_array_equal(table.targets[98], [y[98], y[99], np.nan])
    np.testing.assert_array_equal(table.targets[99], [y[99], np.nan, np.nan])
    np.testing.assert_array_equal(table.targets[100], y[101:104])
    np.testing.assert_array_equal(table.targets[-1], [y[-1], np.nan, np.nan])


def test_a_target_is_known_when_the_next_row_is_however_late_that_comes(path: Path, frame: pl.DataFrame) -> None:
    month = 30 * 86_400_000
    frame.with_columns(
        time=pl.col("time") + pl.when(pl.int_range(pl.len()) >= 1500).then(month).otherwise(0)
    ).write_parquet(path)
    settings = TrainingSettings(data=path, features=("a", "b"), target="y", models=("ridge",), horizon=2)
    examples = prepare(settings, None, QUIET).examples
    assert examples.known_at[1498].tolist() == [examples.made_at[1499], examples.made_at[1500]]
    assert examples.known_at[1499, 0] == examples.made_at[1500] == examples.made_at[1499] + month + 60_000
    assert examples.known_at[-1, 0] == examples.made_at[-1] + 60_000
    learned = next(WalkForward(start_ms=int(examples.made_at[1500]) - 1, test_ms=month).folds(examples)).train
    assert 1498 in learned
    assert 1499 not in learned  # nobody knew what came of it


def test_a_column_that_knows_the_target_is_named(path: Path, frame: pl.DataFrame) -> None:
    frame.with_columns(more=pl.col("y") * 3 + 1).write_parquet(path)
    with pytest.raises(LeakFound, match="more: explains"):
        train(
            TrainingSettings(data=path, features=("a", "more"), target="y", models=("ridge",)), None, None,
            path.parent / "kept", QUIET,
        )  # fmt: skip


def test_what_cannot_be_learned_from_is_refused(path: Path, frame: pl.DataFrame) -> None:
    with pytest.raises(InvalidConfiguration, match="no column 'aa'"):
        read_feature_table(path, ["aa"], "y", 1)
    with pytest.raises(InvalidConfiguration, match="would forecast itself"):
        read_feature_table(path, ["y"], "y", 1)
    with pytest.raises(InvalidConfiguration, match="--features a,b,c and --target y"):
        TrainingSettings(data=path, features=("a",), models=("ridge",))
    with pytest.raises(InvalidConfiguration, match="named twice: a"):
        TrainingSettings(data=path, features=("a", "b", "a"), target="y", models=("ridge",))
    with pytest.raises(InvalidConfiguration, match="name a model to train"):
        TrainingSettings(data=path, models=()).kinds()
    frame.with_columns(y=pl.col("y").cum_sum()).write_parquet(path)
    with pytest.raises(EvenhandError, match="looks like a level"):
        read_feature_table(path, ["a"], "y", 1)
    frame.with_columns(a=pl.when(pl.int_range(pl.len()) == 4).then(None).otherwise(pl.col("a"))).write_parquet(path)
    with pytest.raises(InvalidCandles, match="row 5: a is missing"):
        read_feature_table(path, ["a"], "y", 1)
    frame.reverse().write_parquet(path)
    with pytest.raises(InvalidCandles, match="row 2: its time is not after"):
        read_feature_table(path, ["a"], "y", 1)
    frame.with_columns(time=pl.col("time") // 1000).write_parquet(path)  # seconds: steps would be a thousandth as long
    with pytest.raises(InvalidCandles, match="row 1: time is not in milliseconds"):
        read_feature_table(path, ["a"], "y", 1)
    for few in (20, 1, 0):
        frame.head(few).write_parquet(path)
        with pytest.raises(EvenhandError, match=f"{few} rows are too few"):
            read_feature_table(path, ["a"], "y", 1)


def test_who_knows_how_far_off_it_is_is_judged_by_that(tmp_path: Path) -> None:
    random = np.random.default_rng(2)
    a = random.normal(size=4000)
    y = random.normal(size=4000) * np.where(a > 0.5, 3.0, 1.0) * 0.01  # no direction, but a width
    pl.DataFrame({"a": a, "y": y}).write_parquet(tmp_path / "wild.parquet")
    settings = TrainingSettings(
        data=tmp_path / "wild.parquet", features=("a",), target="y", models=("lightgbm", "lightgbm_quantile"), folds=2
    )  # fmt: skip
    found = prepare(settings, None, QUIET)
    plan = Plan(found.examples, walk_plan(found.examples, 2), found.signature, 0, found.digest)
    walkers = {name: Walker(kind, {}) for name, kind in settings.kinds().items()}
    walks = walk_all(plan, walkers, tmp_path / "kept", QUIET, 1)
    assert walks["lightgbm"].spread is None
    spread = walks["lightgbm_quantile"].spread
    assert spread is not None
    assert spread.shape == walks["lightgbm_quantile"].values.shape
    pinballs = {place.model: place.scores.pinball for place in contest(found.examples, walks, [], [1]).places}
    assert pinballs["lightgbm_quantile"] is not None
    assert pinballs["lightgbm"] is not None
    assert pinballs["lightgbm_quantile"] < 0.9 * pinballs["lightgbm"]
