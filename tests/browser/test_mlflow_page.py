"""What a training leaves in MLflow, as its users see it: runs, curves, artifacts, versions and aliases."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest

from adapters.mlflow.server import start_server
from tests.architecture.compose import ROOT, clean_environment
from tests.browser.chromium import CHROMIUM, open_page
from tests.integration.tracking.page import artifact, search

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is on the path: install the package chromium"),
]
NAME = "btc-usd-1h"


@pytest.fixture(scope="module")
def uri(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server of what `evenhand train` and `evenhand models sync` have left in a folder of their own."""
    folder = tmp_path_factory.mktemp("page")
    pl.read_parquet(ROOT / "data" / f"{NAME}.parquet").tail(3000).write_parquet(folder / f"{NAME}.parquet")
    environment = {**clean_environment(), "EVENHAND_HOME": str(folder / "var"), "PYTHONPATH": str(ROOT)}
    for arguments in (
        ["train", "--data", f"{NAME}.parquet", "--models", "ridge,lightgbm,lstm", "--folds", "3"], ["models", "sync"],
    ):  # fmt: skip
        command = [sys.executable, "-m", "evenhand.cli", *arguments]
        subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True, timeout=300)
    server, found = start_server(folder / "var")
    yield found
    server.kill()


def keep(name: str, picture: bytes) -> None:
    """Keep a screenshot in the folder BROWSER_SCREENSHOTS, for those who want to look."""
    if folder := os.environ.get("BROWSER_SCREENSHOTS"):
        Path(folder).mkdir(parents=True, exist_ok=True)
        (Path(folder) / f"{name}.png").write_bytes(picture)


def run_id(uri: str, name: str) -> tuple[str, str]:
    """Number of the experiment and id of a run."""
    (run,) = [one for one in search(uri, "evenhand") if one["info"]["run_name"] == name]
    return run["info"]["experiment_id"], run["info"]["run_id"]


async def test_the_page_lists_runs_within_runs(uri: str) -> None:
    number, _ = run_id(uri, "lstm")
    async with open_page() as page:
        await page.goto(f"{uri}/#/experiments/{number}/runs?workflowType=machine_learning")
        await page.wait_for(f"train {NAME}", "evenhand")
        keep("runs", await page.screenshot())


async def test_a_run_shows_its_metrics_fold_by_fold_and_its_learning_curve(uri: str) -> None:
    number, run = run_id(uri, "lstm")
    async with open_page(height=4000) as page:
        await page.goto(f"{uri}/#/experiments/{number}/runs/{run}/model-metrics")
        await page.wait_for("fold_rmse", "train_loss", "val_loss", "Step")
        keep("curves", await page.screenshot())


async def test_a_plot_among_the_artifacts_is_drawn_without_a_network(uri: str, tmp_path: Path) -> None:
    number, run = run_id(uri, "lightgbm")
    async with open_page() as page:
        await page.goto(f"{uri}/#/experiments/{number}/runs/{run}/artifacts/plots/training_curves.html")
        await page.wait_for("training_curves.html", "feature_importance.html", "CHANGELOG.md", "model")
        await page.wait_until("document.querySelector('iframe') !== null")
        keep("artifacts", await page.screenshot())
        plot = tmp_path / "plot.html"
        plot.write_bytes(artifact(uri, run, "plots/training_curves.html"))
        await page.goto(plot.as_uri())
        await page.wait_until("document.querySelector('.vega-embed canvas, .vega-embed svg') !== null")
        keep("plot", await page.screenshot())


async def test_the_registry_shows_versions_with_their_origin_and_aliases(uri: str) -> None:
    async with open_page(height=2400) as page:
        await page.goto(f"{uri}/#/models/{NAME}")
        text = await page.wait_for("Version 1", "Version 2", "Version 3", "champion", "data_digest", "code_digest")
        assert {"1.0.0", "1.1.0", "1.2.0"} <= set(text.replace(":", " ").split())
        keep("versions", await page.screenshot())
