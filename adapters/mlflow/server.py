"""An MLflow server of our own on loopback: the page, and what tests kill and start again."""

import os
import sys
import urllib.request
from pathlib import Path

from adapters.processes import LOOPBACK, Child, free_port, start, wait_healthy

STARTS_WITHIN_S = 120.0


def server_command(home: Path, port: int) -> list[str]:
    """Return what serves the runs of a home: its database and its artifacts."""
    return [
        sys.executable, "-m", "mlflow", "server", "--host", LOOPBACK, "--port", str(port), "--workers", "1",
        "--backend-store-uri", f"sqlite:///{home / 'mlflow.db'}", "--artifacts-destination", str(home / "mlartifacts"),
        "--serve-artifacts",
    ]  # fmt: skip


def start_server(home: Path, port: int = 0) -> tuple[Child, str]:
    """Start it and wait until it answers; the process and its address. Raises DependencyUnavailable."""
    port = port or free_port()
    uri = f"http://{LOOPBACK}:{port}"
    environment = {**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}
    child = start("mlflow server", server_command(home, port), log=home / "mlflow-server.log", env=environment)
    wait_healthy(child, lambda: healthy(uri), deadline_s=STARTS_WITHIN_S)
    return child, uri


def healthy(uri: str) -> bool:
    """Whether a server answers."""
    with urllib.request.urlopen(f"{uri}/health", timeout=2) as answer:  # noqa: S310  our own address
        return bool(answer.status == 200)
