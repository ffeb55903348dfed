"""docker-compose.yml is valid, and what it runs of ours runs: here on the host, against the broker of the tests."""

import json
import subprocess
import time
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from adapters import processes
from adapters.kafka.settings import KafkaSettings
from tests.architecture.compose import ROOT, clean_environment, document, our_services

SERVICES = our_services()
SCHEMA = json.loads((Path(__file__).parent / "vendor" / "compose-spec.json").read_text())


def faults(found: dict[str, Any]) -> list[str]:
    validator = jsonschema.Draft7Validator(SCHEMA)
    return [f"{'/'.join(map(str, fault.path))}: {fault.message}" for fault in validator.iter_errors(found)]


def test_it_is_a_compose_file() -> None:
    assert faults(document()) == []


def test_the_schema_refuses_a_misspelt_key() -> None:
    found = document()
    found["services"]["worker"]["helthcheck"] = {}
    assert faults(found)


def test_what_must_be_well_first_has_a_health_check_or_ends() -> None:
    services = document()["services"]
    for name, service in services.items():
        for other, how in service.get("depends_on", {}).items():
            waited_for = services[other]
            if how["condition"] == "service_healthy":
                assert "healthcheck" in waited_for, f"{name} waits for the health of {other}, which nothing tells"
            else:
                assert how["condition"] == "service_completed_successfully"
                assert waited_for["restart"] == "on-failure", f"{name} waits for the end of {other}, which starts again"


def test_every_image_may_be_another() -> None:
    for name, service in document()["services"].items():
        assert service["image"].startswith("${"), f"the image of {name} cannot be overridden"


def test_every_variable_and_setting_is_explained_in_the_example() -> None:
    explained = {line.lstrip("#").split("=")[0] for line in (ROOT / ".env.example").read_text().splitlines()}
    written = (ROOT / "docker-compose.yml").read_text()
    asked = {part.split(":-")[0].split("}")[0] for part in written.split("${")[1:]}
    settings = set(KafkaSettings(bootstrap_servers="localhost:9092").environment())
    assert (asked | settings) - explained == set()


@pytest.mark.timeout(240)
def test_our_services_run_and_tell_their_health(settings: KafkaSettings, var: Path) -> None:
    environment = {
        **clean_environment(),
        "PYTHONPATH": str(ROOT),
        **settings.environment(),
        "EVENHAND_HOME": str(var),
        "OMP_NUM_THREADS": "1",
    }
    stayed: dict[str, processes.Child] = {}

    def start(name: str) -> processes.Child:
        return processes.start(name, SERVICES[name].command, log=var / "log" / f"{name}.log", env=environment)

    def healthy(name: str) -> bool:
        health = SERVICES[name].health
        assert health is not None
        return subprocess.run(health, env=environment, capture_output=True, check=False).returncode == 0

    try:
        for name in ("models", "worker", "clock", "notifier", "registry", "learner", "configuration"):
            child = start(name)
            if SERVICES[name].ends:
                code = child.wait()
                assert code == 0, f"{name} ended with status {code}:\n{child.log_tail()}"
                continue
            stayed[name] = child
            deadline = time.monotonic() + 60
            while not healthy(name):
                assert child.alive(), f"{name} ended:\n{child.log_tail()}"
                assert time.monotonic() < deadline, f"{name} is not well after 60 s:\n{child.log_tail()}"
                time.sleep(0.5)
        assert set(stayed) | {"models", "configuration"} == set(SERVICES), "a service of ours is not tried here"
        for name, child in stayed.items():
            child.stop(30)
            assert not healthy(name), f"{name} has ended, and its health check does not see it"
    finally:
        for child in stayed.values():
            child.stop(5)
