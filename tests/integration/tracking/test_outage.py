"""MLflow is killed in the middle of a training: the training goes on, and every metric arrives, once."""

import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from adapters.mlflow.server import start_server
from adapters.processes import start
from tests.architecture.compose import ROOT, clean_environment
from tests.integration.tracking.page import artifact, history, search
from tests.integration.tracking.training import PER_STEP, values

WARNED = "mlflow takes nothing now"
MEANWHILE = 20  # steps that are learned while nobody takes metrics, and as many after


@pytest.mark.parametrize(
    ("outage_s", "pause_s"), [(1.0, 0.05), pytest.param(120.0, 0.2, marks=pytest.mark.slow)], ids=["short", "long"]
)
@pytest.mark.timeout(600)
def test_a_training_outlives_mlflow(tmp_path: Path, outage_s: float, pause_s: float) -> None:
    server, uri = start_server(tmp_path / "server")
    home = tmp_path / "home"
    argv = [sys.executable, "-m", "tests.integration.tracking.training", uri, str(home), str(pause_s)]
    training = start("training", argv, log=tmp_path / "training.log", env=clean_environment(), cwd=ROOT)

    def said() -> list[str]:
        return training.log.read_text().splitlines()

    def wait_until(holds: Callable[[], bool], timeout_s: float = 120.0) -> None:
        give_up = time.monotonic() + timeout_s
        while not holds():
            assert training.alive(), training.log_tail()
            assert time.monotonic() < give_up, training.log_tail()
            time.sleep(0.1)

    try:
        wait_until(lambda: arrived(uri) > 0)
        server.kill()
        killed_at, end_of_outage = len(said()), time.monotonic() + outage_s
        wait_until(lambda: time.monotonic() > end_of_outage and len(said()) > killed_at + MEANWHILE, outage_s + 60)
        server, uri = start_server(tmp_path / "server", int(uri.rpartition(":")[2]))
        restarted_at = len(said())
        wait_until(lambda: len(said()) > restarted_at + MEANWHILE)
        (home / "enough").touch()
        assert training.wait(180) == 0, training.log_tail()
        *steps, longest = [line for line in said() if not line.startswith(WARNED)]
        assert [int(step) for step in steps] == list(range(len(steps)))
        assert float(longest.split()[1]) < 2.0, "a call has waited for MLflow"
        (run,) = search(uri, "outage")
        assert run["info"]["status"] == "FINISHED"
        assert [one["key"] for one in run["data"]["params"]] == ["pause_s"]
        assert artifact(uri, run["info"]["run_id"], "report.md") == b"# done\n"
        for name in PER_STEP:
            expected = [(step, values(step)[name]) for step in range(len(steps))]
            assert sorted(history(uri, run["info"]["run_id"], name)) == expected
    finally:
        training.kill()
        server.kill()


def arrived(uri: str) -> int:
    """How many metrics there are."""
    try:
        return sum(len(run["data"].get("metrics", [])) for run in search(uri, "outage"))
    except OSError:
        return 0
