"""`evenhand train` in MLflow: a run of each model within one, with folds, curves, files, and a version to load."""

import asyncio
import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from adapters.kafka.settings import KafkaSettings
from adapters.kafka.topics import ensure_topics
from evenhand.client import receive
from evenhand.events import MetricObserved
from evenhand.topics import METRICS, TOPICS
from models.store import ModelStore
from tests.architecture.compose import ROOT, clean_environment

NAME = "btc-usd-1h"
LOAD = """
import json, sys, warnings
warnings.simplefilter("ignore")
import mlflow, pandas
mlflow.set_tracking_uri(sys.argv[1])
client = mlflow.MlflowClient()
runs = client.search_runs([client.get_experiment_by_name("evenhand").experiment_id])
history = lambda run, key: [[one.step, one.value] for one in client.get_metric_history(run.info.run_id, key)]
frame = pandas.DataFrame(json.loads(sys.argv[2]))
print(json.dumps({
    "runs": {run.info.run_name: {
        "status": run.info.status, "tags": run.data.tags, "params": run.data.params, "id": run.info.run_id,
        "metrics": {key: history(run, key) for key in run.data.metrics},
        "files": [file.path for folder in ("", "model", "plots")
                  for file in client.list_artifacts(run.info.run_id, folder)],
    } for run in runs},
    "versions": {one.tags["version"]: dict(one.tags) for one in client.search_model_versions()},
    "champion": client.get_model_version_by_alias("btc-usd-1h", "champion").tags["version"],
    "said": mlflow.pyfunc.load_model("models:/btc-usd-1h@champion").predict(frame).tolist(),
}))
"""


@pytest.mark.timeout(300)
def test_a_training_is_tracked_registered_streamed_and_loadable(settings: KafkaSettings, tmp_path: Path) -> None:
    asyncio.run(ensure_topics(settings, [TOPICS[METRICS]]))
    pl.read_parquet(ROOT / "data" / f"{NAME}.parquet").head(1500).write_parquet(tmp_path / f"{NAME}.parquet")
    home = tmp_path / "var"
    environment = {
        **clean_environment(), "EVENHAND_HOME": str(home), "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1",
        "EVENHAND_TOPIC_PREFIX": settings.topic_prefix,
    }  # fmt: skip

    def run(*arguments: str, **more: str) -> str:
        done = subprocess.run(
            [sys.executable, *arguments], cwd=tmp_path, env={**environment, **more}, check=False, capture_output=True,
            text=True, timeout=200,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    asked = ["--data", f"{NAME}.parquet", "--models", "ridge,lightgbm", "--folds", "3"]
    broker = {"KAFKA_BOOTSTRAP_SERVERS": settings.bootstrap_servers}
    run("-m", "evenhand.cli", "train", *asked, **broker)
    run("-m", "evenhand.cli", "models", "sync")
    store = ModelStore(home / "models")
    card = store.describe(NAME, "1.0.0")
    rows = [dict(zip(card.signature.features, card.description.origin.example, strict=True))]
    found = json.loads(run("-c", LOAD, f"sqlite:///{home}/mlflow.db", json.dumps(rows)).splitlines()[-1])
    runs = found["runs"]
    _are_as_they_should_be(runs)
    assert found["versions"].keys() == {"1.0.0", "1.1.0"}
    assert found["versions"]["1.1.0"]["follows"] == "1.0.0"
    assert found["versions"]["1.0.0"]["digest"] == card.digest
    assert found["champion"] == "1.0.0"
    np.testing.assert_array_equal(found["said"], [card.description.origin.answer])
    arrived = asyncio.run(_metrics(settings))
    expected = {
        (run["tags"]["evenhand.run"], f"training/{key}", str(step))
        for name, run in runs.items() if name != "naive"
        for key, values in run["metrics"].items() for step, _ in values
    }  # fmt: skip
    assert expected <= arrived.keys()
    assert set(arrived.values()) == {1}


def _are_as_they_should_be(runs: dict[str, Any]) -> None:
    assert {run["status"] for run in runs.values()} == {"FINISHED"}
    whole = runs[f"train {NAME}"]
    assert {"report.md", "report.json"} <= set(whole["files"])
    for name in ("ridge", "lightgbm"):
        run = runs[name]
        assert run["tags"]["mlflow.parentRunId"] == whole["id"]
        assert sorted(step for step, _ in run["metrics"]["fold_rmse"]) == [0, 1, 2]
        assert {"rmse", "mase", "direction_accuracy", "coverage_90"} <= run["metrics"].keys()
        assert {"CHANGELOG.md", "model/MLmodel", "model/input_example.json", "model/model.json"} <= set(run["files"])
        assert "plots/feature_importance.html" in run["files"]
    assert [step for step, _ in sorted(runs["lightgbm"]["metrics"]["train_loss"])] == list(range(101))
    assert "plots/training_curves.html" in runs["lightgbm"]["files"]


async def _metrics(settings: KafkaSettings) -> Counter[tuple[str, str, str | None]]:
    """How often each metric stands in `metrics.v1`, by run, name and step."""
    found: Counter[tuple[str, str, str | None]] = Counter()
    async for received in receive(METRICS, from_="earliest", follow=False, settings=settings):
        assert isinstance(received.event, MetricObserved)
        found[received.event.key, received.event.name, received.event.unit] += 1
    return found
