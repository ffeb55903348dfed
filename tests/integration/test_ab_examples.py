"""The document's A/B examples, as written but for the line of the import, over the Kafka of a loop that runs."""

import itertools
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from zlib import crc32

import pytest

from evenhand.client import Refused, subscribe
from evenhand.client.connection import kafka_settings
from evenhand.client.examples import ab_tests
from evenhand.client.examples.ab_tests import ABTestConfig, ABTests
from evenhand.errors import InvalidConfiguration
from evenhand.events import PredictionMade, RequestAssigned
from tests.integration.cli.home import Home

pytestmark = pytest.mark.timeout(300)

SPLIT = """
from evenhand.client.examples import create_ab_test_manager, ABTestConfig

# Create A/B test manager
manager = create_ab_test_manager()

# Configure A/B test
config = ABTestConfig(
    test_name="transformer_vs_lstm_accuracy",
    description="Compare transformer and LSTM model accuracy",
    control_model="crypto_lstm_v1.0",
    treatment_model="crypto_transformer_v1.0",
    traffic_split=0.3,  # 30% to treatment
    success_metric="accuracy",
    early_stopping_enabled=True
)

# Create and start test
test_id = manager.create_ab_test(config, start_immediately=True)

# Process requests through A/B test
variant = manager.process_request(
    test_id=test_id,
    user_id="user_123",
    prediction=model_prediction,
    actual=ground_truth,
    response_time=response_time
)
"""
GUARDED = """
from evenhand.client.examples import create_ab_test_manager, ABTestConfig

# Create sophisticated A/B test
config = ABTestConfig(
    test_name="advanced_model_comparison",
    description="Multi-metric comparison with guardrails",
    control_model="production_model_v1",
    treatment_model="experimental_model_v2",
    traffic_split=0.2,
    minimum_sample_size=5000,
    confidence_level=0.99,
    early_stopping_enabled=True,
    early_stopping_confidence=0.95,
    success_metric="accuracy",
    guardrail_metrics=["response_time", "error_rate"],
    guardrail_thresholds={"response_time": 1.5, "error_rate": 2.0}
)

manager = create_ab_test_manager()
test_id = manager.create_ab_test(config, start_immediately=True)

# Monitor test progress
status = manager.get_test_status(test_id)
dashboard = manager.create_test_dashboard(test_id)
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    """A folder in which a loop runs."""
    found = Home(tmp_path_factory.mktemp("ab") / "home")
    try:
        found.ok("up", "--detach", "--json", timeout_s=240)
        yield found
    finally:
        found.run("down")


@pytest.fixture
def here(home: Home, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A program of that folder's user."""
    monkeypatch.setenv("EVENHAND_HOME", str(home.var))
    monkeypatch.delenv("KAFKA_BOOTSTRAP_SERVERS", raising=False)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def manager(home: Home) -> Iterator[ABTests]:
    """Judged every second."""
    settings = kafka_settings({**home.environment, "EVENHAND_HOME": str(home.var)})
    with ABTests(settings, epoch_s=1, grace_s=2, timeout_s=60.0) as found:
        yield found


def config(**more: Any) -> ABTestConfig:
    given = {
        "test_name": "small", "control_model": "lstm", "treatment_model": "transformer", "minimum_sample_size": 60,
        "minimum_detectable_effect": 0.3,
    }  # fmt: skip
    return ABTestConfig(**{**given, **more})


def users(manager: ABTests, test_id: str, ask: Callable[[str], dict[str, Any]], ended: Callable[[str], bool]) -> Any:
    """Eight users at a time until it has ended; the last status."""
    names, give_up = itertools.count(), time.monotonic() + 150
    with ThreadPoolExecutor(8) as pool:
        while True:
            batch = [f"user-{next(names)}" for _ in range(80)]
            list(pool.map(lambda user: manager.process_request(test_id, user, **ask(user)), batch))
            status = manager.get_test_status(test_id)
            if ended(status["status"]):
                return status
            assert time.monotonic() < give_up, f"nothing was decided: {status}"


def test_the_first_example_runs_as_written_and_the_variant_is_the_loops(here: None) -> None:
    names: dict[str, Any] = {"model_prediction": 0.02, "ground_truth": 0.01, "response_time": 0.05}
    exec(SPLIT, names)  # noqa: S102 - the document's code
    with names["manager"] as manager:
        variant, test_id = names["variant"], names["test_id"]
        assert variant in {"control", "treatment"}
        assert manager.get_variant(test_id, "user_123") == variant
        again = manager.process_request(test_id, "user_123", prediction=[0.1, 0.2], actual=[0.1, -0.2])
        assert again == variant, "a user stays where they are"
        found = [
            each
            for each in subscribe("assignments.v1", "predictions.v1", from_="earliest", follow=False)
            if isinstance(each, (RequestAssigned, PredictionMade)) and each.experiment == test_id
        ]
        assert {each.variant for each in found} == {variant}
        made = [each for each in found if isinstance(each, PredictionMade)]
        assert sorted(each.values for each in made) == [(0.02,), (0.2,)]
        assert {each.unit for each in made} == {"user_123"}


def test_the_second_example_runs_as_written(here: None) -> None:
    names: dict[str, Any] = {}
    exec(GUARDED, names)  # noqa: S102 - the document's code
    with names["manager"]:
        status = names["status"]
        assert status["status"].startswith("running")
        assert status["winner"] is None
        assert set(status["guardrails"]) == {"response_time", "error_rate"}
        assert [round(each["share"], 2) for each in status["variants"].values()] == [0.8, 0.2]
        page = names["dashboard"].read_text()
        assert page.startswith("<!doctype html>")
        assert "production_model_v1" in page


def test_the_better_treatment_is_promoted_and_then_serves_everybody(manager: ABTests, tmp_path: Path) -> None:
    test_id = manager.create_ab_test(config(success_metric="mae", traffic_split=0.4), start_immediately=True)

    def ask(user: str) -> dict[str, Any]:
        noise = crc32(user.encode()) % 1000 / 1000
        error = 1.0 + noise if manager.get_variant(test_id, user) == "control" else 0.3 + 0.3 * noise
        return {"prediction": 5.0 + error, "actual": 5.0, "response_time": 0.02 + 0.01 * noise}

    status = users(manager, test_id, ask, lambda state: not state.startswith("running"))
    assert (status["status"], status["winner"], status["certified"]) == ("promoted", "treatment", "better")
    assert status["relative_change"] < -0.3
    assert "certified better" in status["reasons"][0]
    give_up = time.monotonic() + 60
    while manager.process_request(test_id, "somebody new", 1.0) != "champion":
        assert time.monotonic() < give_up
    page = manager.create_test_dashboard(test_id, tmp_path / "page.html").read_text()
    assert "State: promoted (treatment)." in page
    assert page.count("<svg") == 2


def test_a_slow_treatment_is_stopped_and_another_program_sees_it(manager: ABTests, home: Home) -> None:
    slow = config(guardrail_metrics=["response_time"], guardrail_thresholds={"response_time": 1.5})
    test_id = manager.create_ab_test(slow)
    with pytest.raises(Refused):
        manager.stop_test(test_id)
    manager.start_test(test_id)
    settings = kafka_settings({**home.environment, "EVENHAND_HOME": str(home.var)})
    with ABTests(settings, epoch_s=1, grace_s=2, timeout_s=60.0) as other:

        def ask(user: str) -> dict[str, Any]:
            noise = crc32(user.encode()) % 1000 / 1000
            times = 1.0 if other.get_variant(test_id, user) == "control" else 4.0
            return {"prediction": 1.0, "actual": 1.0 if noise < 0.5 else -1.0, "response_time": times * (0.1 + noise)}

        status = users(other, test_id, ask, lambda state: state.startswith("stopped"))
    assert status["status"] == "stopped for harm"
    assert "response_time" in status["reasons"][0]
    assert status["guardrails"]["response_time"] == "breached"


def test_what_cannot_be_is_refused_with_what_to_do(manager: ABTests) -> None:
    with pytest.raises(InvalidConfiguration, match="no test 'nothing' was made here"):
        manager.process_request("nothing", "user", 1.0)
    with pytest.raises(InvalidConfiguration, match="no metric is named 'profit'"):
        manager.create_ab_test(config(success_metric="profit"))
    test_id = manager.create_ab_test(config(success_metric="mae"))
    with pytest.raises(InvalidConfiguration, match="one for each"):
        manager.process_request(test_id, "user", [1.0, 2.0], actual=1.0)


def test_the_names_are_found_in_the_package() -> None:
    from evenhand.client.examples import create_ab_test_manager  # noqa: PLC0415

    assert create_ab_test_manager is ab_tests.create_ab_test_manager
