"""Who runs the lifecycle: how each is started, and which topics it needs."""

import os
import sys
from dataclasses import dataclass, field
from pathlib import Path

from evenhand.topics import (
    ASSIGNMENTS,
    EVIDENCE,
    METRICS,
    OUTCOMES,
    PREDICTIONS,
    REQUESTS,
    SCORED,
    TOPICS,
    Topic,
    every_topic,
)
from tests.benchmarks.quix_environment import python as quix_python

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Contestant:
    """One side of the comparison: a worker process between the same input and output topics."""

    name: str
    command: list[str]
    topics: tuple[Topic, ...]
    environment: dict[str, str] = field(default_factory=dict)

    def env(self, bootstrap: str, prefix: str, home: Path, models: Path) -> dict[str, str]:
        """The worker's environment. One thread for linear algebra: each worker has one core to itself."""
        threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
        return {
            **os.environ,
            **threads,
            "PYTHONPATH": str(ROOT),
            "KAFKA_BOOTSTRAP_SERVERS": bootstrap,
            "BENCH_PREFIX": prefix,
            "BENCH_HOME": str(home),
            "BENCH_MODELS": str(models),
            "EVENHAND_TOPIC_PREFIX": prefix,
            "EVENHAND_HOME": str(home),
            "EVENHAND_CONTROLS": "given",
            **self.environment,
        }


OUT = (PREDICTIONS, SCORED, EVIDENCE)
IN_AND_OUT = tuple(TOPICS[name] for name in (REQUESTS, OUTCOMES, METRICS, *OUT))
# Made beforehand: an agent that writes to a table whose changelog is still being made ends, and the worker goes on.
FAUST_CHANGELOGS = tuple(Topic(name=f"faust-{table}-changelog", compacted=True) for table in ("pending", "evidence"))


def faust(variant: str) -> Contestant:
    """Stock faust-streaming."""
    command = [sys.executable, "-m", "faust", "-A", "tests.benchmarks.faust_pipeline", "worker", "-l", "warn"]
    return Contestant(
        f"faust-{variant}",
        [*command, "--without-web"],
        (*IN_AND_OUT, TOPICS[ASSIGNMENTS], *FAUST_CHANGELOGS),
        environment={"BENCH_VARIANT": variant},
    )


def quix(var: Path) -> Contestant:
    """Quix Streams, in an environment of its own."""
    return Contestant("quix", [str(quix_python(var)), "-m", "tests.benchmarks.quix_pipeline"], IN_AND_OUT)


def evenhand() -> Contestant:
    """This repository's worker, with all its agents."""
    return _evenhand("evenhand", "agents.app")


def evenhand_lifecycle() -> Contestant:
    """The same with the agents of the lifecycle alone: nothing measured, no drift, service levels or alerts."""
    return _evenhand("evenhand-lifecycle", "tests.benchmarks.evenhand_pipeline")


def _evenhand(name: str, app: str) -> Contestant:
    command = [sys.executable, "-m", "faust", "-A", app, "worker", "-l", "warn", "--without-web"]
    return Contestant(name, command, every_topic())


HOP = tuple(TOPICS[name] for name in (REQUESTS, EVIDENCE))


def hop_evenhand() -> Contestant:
    """evenhand's transport, with an agent that only sends on."""
    command = [sys.executable, "-m", "faust", "-A", "tests.benchmarks.hop_evenhand", "worker", "-l", "warn"]
    return Contestant("hop-evenhand", [*command, "--without-web"], HOP)


def hop_aiokafka() -> Contestant:
    """A bare aiokafka loop."""
    return Contestant("hop-aiokafka", [sys.executable, "-m", "tests.benchmarks.hop_aiokafka"], HOP)
