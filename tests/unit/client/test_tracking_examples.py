"""The document's examples of tracking, as they are written there but for the import line."""

import sqlite3
from collections import Counter
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import pytest
import torch
from mlflow import MlflowClient
from mlflow.entities import Run
from safetensors.numpy import load
from sklearn.linear_model import Ridge

from adapters.mlflow.formats import model_files
from evenhand.client.examples import create_experiment_manager
from evenhand.errors import InvalidConfiguration

hyperparameters = {"learning_rate": 0.001, "layers": {"attention": 4}}
metrics = {"train_loss": 0.25, "val_loss": 0.5}
epoch = 3
history = {"train_loss": [1.0, 0.5, 0.25], "val_loss": [1.1, 0.7, 0.5]}
features = ["log_return_1", "rsi_14"]
importance = [0.7, 0.3]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home, and little patience with an MLflow that is not there."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("EVENHAND_HOME", str(tmp_path / "var"))
    return tmp_path / "var"


def spooled(home: Path) -> list[tuple[str, str, int]]:
    """What waits: kind, key and step."""
    (path,) = (home / "tracking").glob("*.db")
    with sqlite3.connect(path) as db:
        return list(db.execute("select kind, key, step from entries where mlflow = 0"))


def runs(home: Path, name: str) -> tuple[MlflowClient, list[Run]]:
    """What arrived in the file of a home."""
    client = MlflowClient(f"sqlite:///{home}/mlflow.db")
    experiment = client.get_experiment_by_name(name)
    assert experiment is not None
    return client, list(client.search_runs([experiment.experiment_id]))


def test_the_first_example_arrives_in_the_file_of_this_home(home: Path) -> None:
    # Create advanced experiment manager
    manager = create_experiment_manager(
        experiment_name="crypto_prediction_advanced",
        model_type="transformer",
        version="1.2.0",
        description="Advanced transformer with attention mechanisms",
    )

    # Start experiment with comprehensive tracking
    with manager.start_run("advanced_training"):
        # Log parameters, metrics, and artifacts
        manager.log_params_batch(hyperparameters)
        manager.log_metrics_batch(metrics, step=epoch)
        manager.log_training_curves(history, "Training Progress")
        manager.log_feature_importance(features, importance, "Feature Analysis")

    client, (run,) = runs(home, "crypto_prediction_advanced")
    assert (run.info.run_name, run.info.status) == ("advanced_training", "FINISHED")
    assert {"learning_rate": "0.001", "layers.attention": "4"}.items() <= run.data.params.items()
    assert run.data.metrics == metrics
    assert run.data.tags["mlflow.note.content"] == "Advanced transformer with attention mechanisms"
    plots = {file.path for file in client.list_artifacts(run.info.run_id, "plots")}
    assert plots == {"plots/training_progress.html", "plots/feature_analysis.html"}
    (page,) = home.glob("mlartifacts/**/training_progress.html")
    assert "train_loss" in page.read_text()
    assert "<script src=" not in page.read_text(), "the plot would need a network"


def test_the_custom_example_does_not_mind_a_server_that_is_away(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("adapters.mlflow.tracking.WAIT_S", 0.1)
    left = iter(range(1000, 0, -1))

    def compute_train_loss() -> float:
        return next(left) / 1000

    compute_val_loss = get_current_lr = compute_train_loss
    training_history, feature_names, importance_scores = history, features, importance
    model = {"weights": np.arange(3.0)}
    model_signature = {"inputs": [{"name": name, "type": "double"} for name in features], "outputs": "log_return"}

    # Create custom experiment manager with advanced configuration
    manager = create_experiment_manager(
        experiment_name="custom_crypto_experiment",
        model_type="ensemble",
        version="2.0.0",
        description="Custom ensemble with advanced features",
        tracking_uri="http://mlflow-server:5000",
        auto_log=True,
        log_frequency=5,
    )

    with manager.start_run("custom_training"):
        # Advanced logging capabilities
        manager.log_params_batch(
            {
                "model_architecture": "transformer_ensemble",
                "attention_heads": 12,
                "ensemble_strategy": "weighted_voting",
            }
        )

        # Real-time metrics streaming
        for epoch in range(100):
            metrics = {
                "train_loss": compute_train_loss(),
                "val_loss": compute_val_loss(),
                "learning_rate": get_current_lr(),
            }
            manager.log_metrics_batch(metrics, step=epoch)

        # Log comprehensive artifacts
        manager.log_training_curves(training_history, "Training Progress")
        manager.log_feature_importance(feature_names, importance_scores)
        manager.log_model_artifacts(model, "ensemble", signature=model_signature)

    waiting = Counter(kind for kind, _, _ in spooled(home))
    assert waiting["metric"] == 300
    assert waiting["end"] == waiting["start"] == 1
    keys = {key for _, key, _ in spooled(home)}
    assert {"ensemble/model.safetensors", "plots/training_progress.html", "plots/feature_importance.html"} <= keys
    assert "custom_crypto_experiment-ensemble/2.0.0" in keys


def test_a_version_is_kept_if_it_follows_and_else_the_right_one_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("adapters.mlflow.tracking.WAIT_S", 0.1)
    versions = []
    for version, names in [("2.0.0", ["a"]), (None, ["a"]), ("2.1.0", ["a", "b"]), ("2.1.1", ["a", "b"])]:
        manager = create_experiment_manager("one", version=version, tracking_uri="http://127.0.0.1:1")
        with manager.start_run("a run"):
            versions.append(manager.log_model_artifacts({"w": np.ones(1)}, "m", signature=names))
    assert versions == ["2.0.0", "2.0.1", "2.1.0", "2.1.1"]
    manager = create_experiment_manager("one", version="2.1.2", tracking_uri="http://127.0.0.1:1")
    with manager.start_run("a run"), pytest.raises(InvalidConfiguration, match=r"features gone: a.*so it is 3\.0\.0"):
        manager.log_model_artifacts({"w": np.ones(1)}, "m", signature=["b"])


def test_models_are_logged_without_pickle_or_the_formats_are_named() -> None:
    def names(model: Any) -> set[str]:
        return set(model_files(model))

    x, y = np.arange(40.0).reshape(20, 2), np.arange(20.0)
    booster = lightgbm.train({"verbosity": -1}, lightgbm.Dataset(x, y), num_boost_round=1)
    assert names(booster) == {"model.txt"}
    assert names(torch.nn.Linear(2, 1)) == {"model.safetensors"}
    tied = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.Linear(2, 2))
    tied[1].weight = tied[0].weight
    assert load(model_files(tied)["model.safetensors"]).keys() == tied.state_dict().keys()
    assert names(Ridge().fit(x, y)) == {"model.skops"}
    with pytest.raises(InvalidConfiguration, match=r"object has no format without pickle.*skops"):
        model_files(object())


def test_a_run_within_a_run_is_its_child(home: Path) -> None:
    manager = create_experiment_manager("families")
    with manager.start_run("parent"):
        with manager.start_run("child"):
            manager.log_metrics_batch({"loss": 1.0})
        manager.log_metrics_batch({"loss": 2.0})
    _, found = runs(home, "families")
    named = {run.info.run_name: run for run in found}
    assert named["child"].data.tags["mlflow.parentRunId"] == named["parent"].info.run_id
    assert (named["child"].data.metrics, named["parent"].data.metrics) == ({"loss": 1.0}, {"loss": 2.0})
    with pytest.raises(InvalidConfiguration, match="start_run"):
        manager.log_metrics_batch({"loss": 1.0})
