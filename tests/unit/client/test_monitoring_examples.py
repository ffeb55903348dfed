"""The document's monitoring examples, as they are written there but for the import lines."""

import json
import logging
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from evenhand.alerts.configured import read_alerts
from evenhand.client.examples import (
    AlertRule,
    AlertSeverity,
    MonitoringMetric,
    PerformanceMonitor,
    create_performance_monitor,
)
from tests.documents import ROOT

prediction_value, response_time, ground_truth, input_data = 0.3, 12.5, 0.2, [0.1, 0.2, 0.3]
T0, MINUTE = 1_542_153_600_000, 60_000
DOCUMENT = """
monitoring_interval: 60  # seconds
retention_days: 30
alert_cooldown: 15  # minutes
thresholds:
  max_response_time: 1000  # ms
  max_error_rate: 1.0      # %
  min_accuracy: 85.0       # %
  max_drift_score: 0.1
"""


class Clock:
    """Event time of a test."""

    now = T0

    def __call__(self) -> int:
        return self.now


def test_a_monitor_runs_as_the_document_has_it(caplog: pytest.LogCaptureFixture) -> None:
    # Create performance monitor
    monitor = create_performance_monitor(
        monitoring_interval=60,
        enable_slack_alerts=True,
        enable_email_alerts=True
    )  # fmt: skip

    # Start monitoring
    monitor.start_monitoring()

    # Record predictions for monitoring
    monitor.record_prediction(
        model_name="crypto_transformer",
        prediction=prediction_value,
        response_time=response_time,
        actual=ground_truth,
        input_features=input_data
    )  # fmt: skip
    monitor.stop_monitoring()
    found = monitor.get_metrics("crypto_transformer")
    assert found["response_time_p95_ms"] == pytest.approx(12.5, rel=0.01)
    assert found["rmse"] == pytest.approx(0.1)
    assert found["error_fraction"] == 0.0
    assert "channel slack is enabled and not set" in caplog.text


def ruled(clock: Clock) -> PerformanceMonitor:
    """The document's two rules."""
    monitor = create_performance_monitor(environment={}, clock=clock)

    # Add custom alert rules
    monitor.alert_manager.add_alert_rule(AlertRule(
        name="Model Accuracy Degradation",
        metric=MonitoringMetric.ACCURACY,
        threshold=0.85,
        comparison='<',  # noqa: Q000 - the document's
        severity=AlertSeverity.CRITICAL,
        window_minutes=15,
        notification_channels=['slack', 'email']  # noqa: Q000 - the document's
    ))  # fmt: skip

    monitor.alert_manager.add_alert_rule(AlertRule(
        name="High Model Latency",
        metric=MonitoringMetric.MODEL_LATENCY,
        threshold=1000,  # 1 second
        comparison='>',  # noqa: Q000 - the document's
        severity=AlertSeverity.WARNING,
        notification_channels=['slack']  # noqa: Q000 - the document's
    ))  # fmt: skip
    return monitor


def fired(monitor: PerformanceMonitor, clock: Clock, right: int, wrong: int, ms: float) -> list[str]:
    """What fires after a minute with so many right and wrong directions and response times."""
    truth = 0.0
    for number in range(right + wrong + 1):
        truth, said = 1.0 - truth, 1.0 - truth if number <= right else -1.0 + truth * 3
        monitor.record_prediction(model_name="m", prediction=said, response_time=ms, actual=truth)
    clock.now += MINUTE
    monitor.check()
    return sorted(one.labels["alertname"] for one in monitor.alert_manager.get_active_alerts())


@pytest.mark.parametrize(("right", "ms", "names"), [
    (17, 980.0, []),
    (16, 980.0, ["Model Accuracy Degradation"]),
    (17, 1020.0, ["High Model Latency"]),
])  # fmt: skip
def test_the_documents_rules_fire_beyond_their_thresholds_and_not_before(
    right: int, ms: float, names: list[str]
) -> None:
    clock = Clock()
    monitor = ruled(clock)
    assert fired(monitor, clock, right, 20 - right, ms) == names
    rules = {one.name: one.rule() for one in monitor.alert_manager.alert_rules}
    assert [rules["Model Accuracy Degradation"].breached(value) for value in (0.85, 0.8499)] == [False, True]
    assert [rules["High Model Latency"].breached(value) for value in (1000.0, 1000.001)] == [False, True]


def test_an_alert_is_of_the_whole_window_and_resolves_when_that_is_good() -> None:
    clock = Clock()
    monitor = ruled(clock)
    assert fired(monitor, clock, 8, 12, 20.0) == ["Model Accuracy Degradation"]
    for _ in range(14):
        fired(monitor, clock, 20, 0, 20.0)
    assert fired(monitor, clock, 20, 0, 20.0) == []
    assert [one.status for one in monitor.alert_manager.history] == ["firing", "resolved"]


def test_changed_inputs_are_drift() -> None:
    clock = Clock()
    monitor = create_performance_monitor(environment={}, clock=clock)
    monitor.alert_manager.add_alert_rule(AlertRule(name="Drift", metric=MonitoringMetric.DATA_DRIFT, threshold=0.9))
    scores = []
    for minute in range(14):
        shift = 3.0 if minute >= 9 else 0.0
        for number in range(100):
            value = ((number * 0.618033988749895 + minute * 0.414213) % 1.0) + shift
            monitor.record_prediction(model_name="m", prediction=0.1, input_features={"volume": value})
        clock.now += MINUTE
        monitor.check()
        scores.append([one.labels["alertname"] for one in monitor.alert_manager.get_active_alerts()])
    assert scores[:9] == [[]] * 9
    assert ["Drift"] in scores[9:]


@pytest.fixture
def hook() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    got: list[dict[str, Any]] = []

    class Answering(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            got.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *arguments: Any) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answering)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/x", got
    server.shutdown()
    server.server_close()


def test_a_webhook_to_our_own_network_is_refused_and_said_so(
    hook: tuple[str, list[dict[str, Any]]], caplog: pytest.LogCaptureFixture
) -> None:
    clock, (url, got) = Clock(), hook
    monitor = create_performance_monitor(
        enable_webhook_alerts=True, environment={"MONITORING_WEBHOOK_URL": url}, clock=clock
    )
    monitor.alert_manager.add_alert_rule(
        AlertRule(name="slow", metric=MonitoringMetric.MODEL_LATENCY, threshold=10, notification_channels=["webhook"])
    )
    with caplog.at_level(logging.WARNING):
        assert fired(monitor, clock, 1, 0, 20.0) == ["slow"]
    assert got == []
    assert "only https" in caplog.text
    assert url not in caplog.text


def test_the_documents_configuration_loads_as_written() -> None:
    assert DOCUMENT.strip() in (ROOT / "docs" / "alerts.md").read_text()
    alerts = read_alerts(DOCUMENT)
    assert (alerts.monitoring_interval, alerts.retention_days) == (60, 30)
    rules = alerts.policy("m").rules
    assert [(rule.metric, rule.comparison, rule.threshold, rule.cooldown_s) for rule in rules] == [
        ("response_time_p95_ms", ">", 1000.0, 900), ("error_fraction", ">", 0.01, 900),
        ("accuracy", "<", 0.85, 900), ("drift_score", ">", 0.1, 900),
    ]  # fmt: skip


def test_a_monitors_rules_are_a_configuration_of_the_loop(tmp_path: Path) -> None:
    path = tmp_path / "alerts.yaml"
    path.write_text(yaml.safe_dump(ruled(Clock()).configuration()))
    found = read_alerts(path.read_text())
    assert [rule.name for rule in found.policy("m").rules] == ["Model Accuracy Degradation", "High Model Latency"]
