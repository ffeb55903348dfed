"""A single Apache Kafka 4 broker in KRaft mode, from the distribution that KAFKA_HOME names, on Java 17 or later.

Data, configuration and logs live in `var`; the distribution is only read, so that it may be read-only.
"""

import base64
import os
import shutil
import subprocess
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path

from adapters import processes
from adapters.errors import DependencyUnavailable, InvalidSetting
from adapters.kafka import wire
from adapters.kafka.capabilities import EVERYTHING
from adapters.kafka.local import LocalBroker

_DEADLINE_S = 60.0
_ATTEMPTS = 3
_HEAP = "-Xms128m -Xmx350m"
_LOG4J = """\
Configuration:
  Appenders:
    Console:
      name: STDERR
      target: SYSTEM_ERR
      PatternLayout:
        pattern: "%d{HH:mm:ss,SSS} %p %c{1} %m%n"
  Loggers:
    Root:
      level: WARN
      AppenderRef:
        - ref: STDERR
"""


def start_kafka(
    var: Path,
    *,
    home: Path,
    port: int | None = None,
    listeners: Mapping[str, int] | None = None,
    properties: Mapping[str, str] | None = None,
    format_arguments: Sequence[str] = (),
) -> LocalBroker:
    """Start it and wait until it answers. What an earlier one left in `var` is still there afterwards.

    `listeners` are ports on loopback beside the plain one, by protocol (SASL_SSL, ...); `properties` are added to the
    broker's configuration and win over ours; `format_arguments` go to `kafka-storage.sh format`, for SCRAM credentials
    for example.
    """
    _require_java()
    home = home.expanduser().resolve()
    script = home / "bin" / "kafka-server-start.sh"
    if not script.is_file():
        raise InvalidSetting(f"KAFKA_HOME={home} has no bin/{script.name}: name the folder of an Apache Kafka 4")
    folder = var.resolve() / "kafka"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "log4j2.yaml").write_text(_LOG4J)
    env = _environment()
    for attempt in range(_ATTEMPTS):
        chosen = port or _earlier_port(folder) or processes.free_port()
        configuration = folder / "server.properties"
        configuration.write_text(_properties(folder, chosen, listeners or {}, properties or {}))
        if not (folder / "data" / "meta.properties").exists():
            _format(home, configuration, env, format_arguments)
        child = processes.start(
            "Apache Kafka", [script, configuration.name], log=var / "log" / "broker.log", env=env, cwd=folder
        )
        try:
            processes.wait_healthy(
                child,
                lambda: bool(wire.api_keys(processes.LOOPBACK, chosen)),  # noqa: B023 - called before the next round
                deadline_s=_DEADLINE_S,
            )
        except DependencyUnavailable:
            if port is not None or attempt == _ATTEMPTS - 1 or "BindException" not in child.log_tail(60):
                raise
            continue  # somebody was faster at a port
        return LocalBroker("kafka", chosen, EVERYTHING, child)
    raise AssertionError("unreachable")


def _properties(folder: Path, port: int, listeners: Mapping[str, int], more: Mapping[str, str]) -> str:
    controller_port = processes.free_port()
    places = ",".join(
        f"{name}://{processes.LOOPBACK}:{place}"
        for name, place in {"PLAINTEXT": port, "CONTROLLER": controller_port, **listeners}.items()
    )
    lines = {
        "process.roles": "broker,controller",
        "node.id": "1",
        "listeners": places,
        "advertised.listeners": places,
        "controller.listener.names": "CONTROLLER",
        "inter.broker.listener.name": "PLAINTEXT",
        "listener.security.protocol.map": (
            "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SSL:SSL,SASL_PLAINTEXT:SASL_PLAINTEXT,SASL_SSL:SASL_SSL"
        ),
        "controller.quorum.bootstrap.servers": f"{processes.LOOPBACK}:{controller_port}",
        "log.dirs": str(folder / "data"),
        "num.partitions": "8",
        "auto.create.topics.enable": "false",
        "offsets.topic.replication.factor": "1",
        "offsets.topic.num.partitions": "4",
        "transaction.state.log.replication.factor": "1",
        "transaction.state.log.min.isr": "1",
        "transaction.state.log.num.partitions": "4",
        "share.coordinator.state.topic.replication.factor": "1",
        "share.coordinator.state.topic.min.isr": "1",
        "group.initial.rebalance.delay.ms": "0",
        "group.min.session.timeout.ms": "1000",
        "log.segment.delete.delay.ms": "1000",
        "log.cleaner.dedupe.buffer.size": "16777216",
        # After kill -9 a new broker waits until the session of the dead one has run out.
        "broker.session.timeout.ms": "3000",
        "broker.heartbeat.interval.ms": "500",
    }
    return "".join(f"{name}={value}\n" for name, value in {**lines, **more}.items())


def _format(home: Path, configuration: Path, env: Mapping[str, str], arguments: Sequence[str]) -> None:
    # The first byte is fixed: an id that began with "-" would be taken for an option.
    cluster = base64.urlsafe_b64encode(b"e" + uuid.uuid4().bytes[1:]).decode().rstrip("=")
    script = home / "bin" / "kafka-storage.sh"
    done = subprocess.run(
        [script, "format", "--standalone", "-t", cluster, "-c", configuration.name, *arguments],
        env=dict(env), cwd=configuration.parent, capture_output=True, text=True, check=False, timeout=_DEADLINE_S,
    )  # fmt: skip
    if done.returncode:
        raise DependencyUnavailable(
            f"{script} could not prepare {configuration.parent / 'data'}:\n{done.stdout}{done.stderr}"
        )


def _environment() -> dict[str, str]:
    """Settings of both the stock scripts and smaller ones, so that nothing is written into the distribution.

    The stock scripts split paths at spaces, so these are relative to the folder in which the scripts run.
    """
    return {
        **os.environ,
        "KAFKA_HEAP_OPTS": os.environ.get("KAFKA_HEAP_OPTS", _HEAP),
        "KAFKA_LOG4J_OPTS": "-Dlog4j2.configurationFile=log4j2.yaml",
        "KAFKA_LOG4J2": "log4j2.yaml",
        "KAFKA_JMX_OPTS": " ",  # an empty one would open JMX
        "EXTRA_ARGS": "-name kafkaServer",
        "LOG_DIR": "log",
    }


def _earlier_port(folder: Path) -> int | None:
    """The port that the data of this folder was served on before, if it is free: clients may still hold it."""
    try:
        text = (folder / "server.properties").read_text()
    except OSError:
        return None
    for line in text.splitlines():
        if line.startswith("listeners=") and (folder / "data" / "meta.properties").exists():
            port = int(line.split(",")[0].rpartition(":")[2])
            return port if processes.port_is_free(port) else None
    return None


def _require_java() -> None:
    java_home = os.environ.get("JAVA_HOME")
    if shutil.which("java") is None and not (java_home and Path(java_home, "bin", "java").exists()):
        raise DependencyUnavailable(
            "KAFKA_HOME is set, but there is no java on PATH: install Java 17 or later, or unset KAFKA_HOME to use the "
            "embedded broker"
        )
