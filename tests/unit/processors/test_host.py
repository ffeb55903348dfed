"""The machine is held to objectives of its own, in whichever partition its readings lie."""

import msgspec
import pytest

from evenhand.alerts.policy import AlertPolicy
from evenhand.alerts.rule import AlertRule
from evenhand.events import (
    AlertFired,
    AlertResolved,
    Event,
    MetricObserved,
    MetricReported,
    Served,
    ServiceLevelReported,
)
from evenhand.monitoring import HostRules, Monitoring
from evenhand.processors.control import control
from evenhand.processors.readings import MOST
from evenhand.slo.objective import Objective
from evenhand.topics import ALERTS, METRICS, REPORTS, SERVICE_LEVELS
from tests.unit.processors.play import START, play, write

CPU = Objective(name="cpu", metric="cpu_percent", comparison="<", threshold=80, unit="%", target=0.5)
HOT = AlertRule(name="hot", metric="cpu_percent", comparison=">", threshold=80, unit="%", window_s=60, for_s=60)


@pytest.mark.parametrize("seed", [None, 3])
def test_a_busy_machine_is_told_of_and_a_model_is_not_to_blame(seed: int | None) -> None:
    host = HostRules(objectives=(CPU,), alerts=AlertPolicy(rules=(HOT,)))
    first = control(Served(champion="1.0.0", wait_s=30, monitoring=Monitoring(host=host)), "line", START, "first")
    told: list[tuple[float, str, Event]] = []
    for second in range(0, 600, 10):
        time = START + second * 1000
        busy = 180 <= second < 360
        reading = MetricObserved(
            id=f"m{second}", time=time, key="_host", name="cpu_percent", value=95.0 if busy else 20.0
        )
        told.append((time + 100, METRICS, reading))
    log = write(told, first, 1, until_s=800)
    play(log, seed=seed, crash=0.0 if seed is None else 0.2)
    alerts = {value: msgspec.json.decode(value, type=AlertFired | AlertResolved) for value in log.values(ALERTS)}
    mine = sorted(
        (one.time - START, one.status) for one in alerts.values() if one.labels == {
            "alertname": "hot", "severity": "warning", "model": "_host",
        }
    )  # fmt: skip
    assert mine == [(300_000, "firing"), (420_000, "resolved")]
    levels = [
        msgspec.json.decode(value, type=ServiceLevelReported)
        for value in dict.fromkeys(log.values(SERVICE_LEVELS))
        if b'"_host"' in value and b"ServiceLevelReported" in value
    ]
    assert [one.levels["cpu"].state for one in levels] == ["met"] * 3 + ["violated"] * 3 + ["met"] * 4


def test_names_without_end_make_no_report_that_is_too_long() -> None:
    told: list[tuple[float, str, Event]] = [
        (START + 100, METRICS, MetricObserved(id=f"m{n}", time=START, key="_host", name=f"clicks_of_{n}", value=1.0))
        for n in range(MOST + 200)
    ]
    kept = []
    for seed in (None, 2):
        log = write(told, control(Served(champion="1.0.0", wait_s=30), "line", START, "first"), 1, until_s=150)
        play(log, seed=seed, crash=0.0 if seed is None else 0.2)
        reported = [msgspec.json.decode(value, type=MetricReported) for value in log.values(REPORTS)]
        kept.append({name for one in reported for name in one.counts if name.startswith("clicks_of_")})
    assert len(kept[0]) == MOST
    assert kept[0] == kept[1]
