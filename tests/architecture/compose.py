"""What docker-compose.yml says of our own processes."""

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-m", "evenhand.cli"]  # what `evenhand`, the entry point of the image, runs


def document() -> dict[str, Any]:
    """The file, with its anchors resolved."""
    found = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    assert isinstance(found, dict)
    return found


@dataclass(frozen=True)
class OurService:
    """A service that runs our image: its command, its health check if it has one, and which variables it is given."""

    name: str
    command: list[str]
    health: list[str] | None
    variables: frozenset[str]

    @property
    def ends(self) -> bool:
        """Whether it does its work and ends."""
        return self.health is None


def our_services() -> dict[str, OurService]:
    """By name."""
    services = document()["services"]
    return {
        name: OurService(name, [*COMMAND, *service["command"]], _health(service), frozenset(service["environment"]))
        for name, service in services.items()
        if "evenhand:" in service["image"]
    }


def _health(service: dict[str, Any]) -> list[str] | None:
    if "healthcheck" not in service:
        return None
    kind, program, *arguments = service["healthcheck"]["test"]
    assert (kind, program) == ("CMD", "evenhand")
    return [*COMMAND, *arguments]


def clean_environment() -> dict[str, str]:
    """This environment without any setting of evenhand."""
    ours = ("EVENHAND_", "KAFKA_", "REDIS_", "MLFLOW_")
    return {name: value for name, value in os.environ.items() if not name.startswith(ours)}
