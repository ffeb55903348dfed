"""Brokers as processes: what a kill leaves, who ends whom, and which broker is taken."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from adapters import processes
from adapters.errors import DependencyUnavailable, InvalidSetting
from adapters.kafka.broker import Broker, Kind, start_broker
from adapters.kafka.settings import KafkaSettings
from tests.contracts.broker_measures import KINDS, consumer, make_topic, producer, read, write_batch

pytestmark = pytest.mark.timeout(90)

PARENT = """
import sys, time
from pathlib import Path
from adapters.kafka.broker import start_broker
print(start_broker(Path(sys.argv[1]), kind=sys.argv[2]).pid, flush=True)
time.sleep(600)
"""


@pytest.mark.parametrize("kind", KINDS)
async def test_records_survive_a_kill_where_declared(kind: Kind, tmp_path: Path) -> None:
    broker = start_broker(tmp_path, kind=kind)
    settings = KafkaSettings(bootstrap_servers=broker.bootstrap, known_capabilities=broker.capabilities)
    topic = await make_topic(settings, "durable")
    async with producer(settings) as client:
        await write_batch(client, topic, [b"1", b"2"])
    pid = broker.pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    await asyncio.to_thread(_wait_gone, pid)
    again = await asyncio.to_thread(start_broker, tmp_path, kind=kind, port=int(broker.bootstrap.split(":")[1]))
    try:
        assert again.bootstrap == broker.bootstrap
        async with consumer(settings) as client:
            kept = topic in await client.topics()
        assert kept is broker.capabilities.durable
        if kept:
            assert [record.value for record in await read(settings, topic)] == [b"1", b"2"]
    finally:
        again.stop()


@pytest.mark.parametrize("kind", KINDS)
def test_a_broker_dies_with_its_parent(kind: Kind, tmp_path: Path) -> None:
    """Killed with -9, the parent can do nothing any more."""
    command = [sys.executable, "-c", PARENT, str(tmp_path), kind]
    parent = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    assert processes.running(pid)
    os.kill(parent.pid, signal.SIGKILL)
    parent.communicate(timeout=10)
    _wait_gone(pid)


def test_two_brokers_of_one_machine_do_not_meet(tmp_path: Path) -> None:
    one, two = (start_broker(tmp_path / name, kind="embedded") for name in ("one", "two"))
    assert one.bootstrap != two.bootstrap
    assert one.alive()
    assert two.alive()
    one.stop()
    assert not one.alive()
    assert two.alive()
    two.stop()


def test_an_external_broker_is_used_and_not_stopped(
    broker: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", broker.bootstrap)
    external = start_broker(tmp_path)
    assert (external.name, external.pid) == ("external", None)
    assert external.capabilities == broker.capabilities
    external.stop()
    assert external.alive()
    assert broker.alive()


def test_an_external_broker_that_does_not_answer_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = f"127.0.0.1:{processes.free_port()}"
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", place)
    with pytest.raises(DependencyUnavailable, match=f"KAFKA_BOOTSTRAP_SERVERS={place}"):
        start_broker(tmp_path)


def test_a_kafka_home_without_kafka_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAFKA_HOME", str(tmp_path))
    monkeypatch.setattr("shutil.which", lambda _: "/usr/bin/java")
    with pytest.raises(InvalidSetting, match="KAFKA_HOME="):
        start_broker(tmp_path / "var", kind="kafka")


def _wait_gone(pid: int) -> None:
    while processes.running(pid):
        time.sleep(0.01)
