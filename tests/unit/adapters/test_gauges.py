"""What Prometheus sees: the last report of each model, and never more labels than were bounded."""

import os
import urllib.request
from pathlib import Path

from adapters.gauges import MOST, OTHER, Gauges
from adapters.machine import Machine
from evenhand.events import DriftCleared, DriftDetected, MetricReported

T = 1_600_000_000_000


def report(model: str, time: int = T, **values: float) -> MetricReported:
    return MetricReported(id=f"{model}{time}", time=time, key=model, model=model, epoch=1, epoch_s=60, values=values)


def test_the_newest_report_is_shown_and_an_older_one_that_comes_later_is_not() -> None:
    gauges = Gauges()
    for time, value in ((T, 0.5), (T + 60_000, 0.7), (T, 0.9)):
        gauges.report(report("m", time, accuracy=value))
    labels = {"model": "m", "version": "", "metric": "accuracy"}
    assert gauges.registry.get_sample_value("evenhand_report", labels) == 0.7


def test_names_that_users_invent_do_not_make_series_without_end() -> None:
    gauges = Gauges()
    for number in range(5000):
        gauges.report(report(f"model-{number}", T, **{f"metric_{number}": 1.0}))
    families = {family.name: family for family in gauges.registry.collect()}
    seen = {sample.labels["model"] for sample in families["evenhand_report"].samples}
    assert len(seen) == MOST["model"] + 1
    assert OTHER in seen
    assert len(families["evenhand_report"].samples) <= (MOST["model"] + 1) * (MOST["metric"] + 1)
    held = [each for each in vars(gauges).values() if isinstance(each, dict)]
    assert sum(map(len, held)) < 1000  # nor memory


def test_drift_is_a_gauge_and_its_alarms_are_counted() -> None:
    gauges = Gauges()
    began = DriftDetected(
        id="d", time=T, key="m", model="m", detector="rank_legendre", statistic=2, threshold=1, effect_size=1,
        reference_size=500, window_size=9, kind="inputs",
    )  # fmt: skip
    gauges.drift(began)
    labels = {"model": "m", "kind": "inputs"}
    assert gauges.registry.get_sample_value("evenhand_drifted", labels) == 1
    over = DriftCleared(id="c", time=T + 1, key="m", model="m", detector="rank_legendre", kind="inputs")
    gauges.drift(over)
    assert gauges.registry.get_sample_value("evenhand_drifted", labels) == 0
    assert gauges.registry.get_sample_value("evenhand_drift_alarms_total", labels) == 1


def test_it_answers_on_the_loopback_interface_and_on_another_port_where_this_is_taken() -> None:
    one, other = Gauges(), Gauges()
    one.system("", "cpu_percent", 12.5)
    address, end = one.serve(0)
    try:
        assert address.startswith("http://127.0.0.1:")
        again, end_other = other.serve(int(address.rsplit(":", 1)[1].split("/")[0]))
        end_other()
        assert again != address
        with urllib.request.urlopen(address, timeout=10) as response:  # noqa: S310 - our own server
            text = response.read().decode()
    finally:
        end()
    assert 'evenhand_system{metric="cpu_percent",process=""} 12.5' in text


def test_the_machine_and_its_processes_are_read(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    machine.read({"w1": os.getpid()})
    readings = {each.full_name: each.value for each in machine.read({"w1": os.getpid(), "gone": 2**22})}
    assert {"cpu_percent", "memory_percent", "disk_percent", "w1_cpu_percent", "w1_memory_bytes"} == set(readings)
    assert 0 < readings["memory_percent"] < 100
    assert readings["w1_memory_bytes"] > 10_000_000
