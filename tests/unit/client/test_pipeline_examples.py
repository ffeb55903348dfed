"""The document's example of the training pipeline, as it is written there but for the import line."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from mlflow import MlflowClient

from evenhand.client.examples import create_enhanced_pipeline
from evenhand.errors import InvalidConfiguration
from models.store import ModelStore
from tests.documents import ROOT

START = 1_500_000_000_000


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a table of features whose target follows one of them."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("EVENHAND_HOME", str(tmp_path / "var"))
    random, count = np.random.default_rng(5), 800
    signal, noise = random.normal(size=(2, count))
    (tmp_path / "data").mkdir()
    pl.DataFrame(
        {
            "time": START + np.arange(count) * 3_600_000,
            "momentum": signal,
            "volatility": np.abs(random.normal(size=count)),
            "target": 0.01 * (0.8 * signal + noise),
        }
    ).write_parquet(tmp_path / "data" / "crypto_features.parquet")
    return tmp_path


def test_the_example_trains_with_an_ensemble_and_says_who_has_skill(folder: Path) -> None:
    # Create enhanced training pipeline
    pipeline = create_enhanced_pipeline(
        experiment_name="crypto_enhanced_training",
        model_types=["transformer", "lstm", "lightgbm"],
        enable_ensemble=True,
    )

    # Load and prepare data
    df, feature_cols = pipeline.load_and_prepare_data("data/crypto_features.parquet")

    # Train models with walk-forward validation
    results = pipeline.train_models(df, feature_cols)

    assert feature_cols == ["momentum", "volatility"]
    assert {"transformer", "lstm", "lightgbm", "ensemble"} <= results.models.keys()
    assert results.models["lightgbm"].verdict == "skill"
    versions = [results.models[name].version for name in ("transformer", "lstm", "lightgbm", "ensemble")]
    assert versions == ["1.0.0", "1.1.0", "1.2.0", "1.3.0"]
    assert ModelStore(folder / "var" / "models").versions("crypto_enhanced_training") == versions
    client = MlflowClient(f"sqlite:///{folder}/var/mlflow.db")
    experiment = client.get_experiment_by_name("crypto_enhanced_training")
    assert experiment is not None
    names = {run.info.run_name for run in client.search_runs([experiment.experiment_id])}
    assert {"train crypto_enhanced_training", "lightgbm", "ensemble"} <= names


def test_candles_get_the_usual_features() -> None:
    pipeline = create_enhanced_pipeline("candles", ["ridge"])
    frame, features = pipeline.load_and_prepare_data(ROOT / "data" / "btc-usd-1h.parquet")
    assert frame.columns == ["time", *features, "log_return"]
    assert "rolling_volatility_24" in features
    assert len(frame) > 10_000


def test_a_table_that_has_prices_beside_its_target_keeps_its_own_features(folder: Path) -> None:
    table = pl.read_parquet(folder / "data" / "crypto_features.parquet")
    prices = dict.fromkeys(("open", "high", "low", "close"), 100.0 + table["momentum"])
    table.with_columns(**prices).write_parquet(folder / "prices.parquet")
    pipeline = create_enhanced_pipeline("one", ["ridge"])
    frame, features = pipeline.load_and_prepare_data("prices.parquet")
    assert (pipeline.target, frame.height) == ("target", 800)
    assert features == ["momentum", "volatility", *prices]


def test_a_table_without_a_target_is_asked_for_one(folder: Path) -> None:
    table = pl.read_parquet(folder / "data" / "crypto_features.parquet").rename({"target": "next_move"})
    table.write_parquet(folder / "other.parquet")
    with pytest.raises(InvalidConfiguration, match=r"next_move.*target=NAME"):
        create_enhanced_pipeline("one").load_and_prepare_data("other.parquet")
    frame, features = create_enhanced_pipeline("one", target="next_move").load_and_prepare_data("other.parquet")
    assert features == ["momentum", "volatility"]
    assert frame.height == 800
