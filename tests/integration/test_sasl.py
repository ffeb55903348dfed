"""A broker that asks for passwords and certificates: right ones work, wrong ones give an error that names the setting.

Needs Apache Kafka (KAFKA_HOME); the embedded broker has no such listeners.
"""

import asyncio
import dataclasses
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme
from cryptography.hazmat.primitives import serialization

from adapters import processes
from adapters.errors import DependencyUnavailable, InvalidSetting
from adapters.kafka.connection import check_connection
from adapters.kafka.kafka_home import start_kafka
from adapters.kafka.settings import KafkaSettings
from adapters.kafka.topics import ensure_topics
from evenhand.errors import EvenhandError
from evenhand.topics import DEAD_LETTERS, OUTCOMES, Topic, every_topic
from tests.contracts.broker_measures import consumer, producer

pytestmark = [
    pytest.mark.kafka,
    pytest.mark.skipif("KAFKA_HOME" not in os.environ, reason="KAFKA_HOME is not set"),
    pytest.mark.timeout(120),
]

USER, PASSWORD = "ada", "right-canary"
PROTOCOLS = ("SASL_PLAINTEXT", "SASL_SSL", "SSL")
PLAIN = f'org.apache.kafka.common.security.plain.PlainLoginModule required user_{USER}="{PASSWORD}";'
SCRAM = "org.apache.kafka.common.security.scram.ScramLoginModule required;"


@dataclasses.dataclass
class Secured:
    """A broker, the ports of its listeners, and certificates."""

    ports: dict[str, int]
    folder: Path

    def settings(self, protocol: str, **more: Any) -> KafkaSettings:
        """Right settings for a listener, but for `more`."""
        given: dict[str, Any] = {
            "bootstrap_servers": f"127.0.0.1:{self.ports[protocol]}",
            "security_protocol": protocol,
        }
        if protocol.startswith("SASL"):
            given |= {"sasl_mechanism": "SCRAM-SHA-256", "sasl_username": USER, "sasl_password": PASSWORD}
        if protocol.endswith("SSL"):
            given["ssl_cafile"] = str(self.folder / "ca.pem")
        if protocol == "SSL":
            given["ssl_certfile"] = str(self.folder / "client.pem")
        return KafkaSettings(**{**given, **more})


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    """One broker with a listener for each protocol; that for SSL asks clients for a certificate."""
    folder = tmp_path_factory.mktemp("secured")
    authority, other = trustme.CA(), trustme.CA()
    authority.cert_pem.write_to_path(folder / "ca.pem")
    other.cert_pem.write_to_path(folder / "other-ca.pem")
    for name, host in (("server", "127.0.0.1"), ("client", "client.example")):
        write_certificate(authority.issue_cert(host), folder / f"{name}.pem")
    properties = {
        "sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-256",
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": str(folder / "server.pem"),
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": str(folder / "ca.pem"),
        "listener.name.ssl.ssl.client.auth": "required",
    }
    for listener in ("sasl_plaintext", "sasl_ssl"):
        properties |= {
            f"listener.name.{listener}.plain.sasl.jaas.config": PLAIN,
            f"listener.name.{listener}.scram-sha-256.sasl.jaas.config": SCRAM,
        }
    ports = {protocol: processes.free_port() for protocol in PROTOCOLS}
    broker = start_kafka(
        folder,
        home=Path(os.environ["KAFKA_HOME"]),
        listeners=ports,
        properties=properties,
        format_arguments=["--add-scram", f"SCRAM-SHA-256=[name={USER},password={PASSWORD}]"],
    )
    yield Secured({**ports, "PLAINTEXT": broker.port}, folder)
    broker.stop()


def write_certificate(issued: Any, path: Path) -> None:
    """Key and chain in one file; Java reads keys in PKCS #8 only."""
    key = serialization.load_pem_private_key(issued.private_key_pem.bytes(), password=None)
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path.write_bytes(pem + b"".join(blob.bytes() for blob in issued.cert_chain_pems))


@pytest.mark.parametrize(
    ("protocol", "mechanism"),
    [
        ("SASL_PLAINTEXT", "PLAIN"),
        ("SASL_PLAINTEXT", "SCRAM-SHA-256"),
        ("SASL_SSL", "PLAIN"),
        ("SASL_SSL", "SCRAM-SHA-256"),
        ("SSL", None),
    ],
)
async def test_right_credentials_work_for_every_client(secured: Secured, protocol: str, mechanism: str | None) -> None:
    settings = secured.settings(protocol, sasl_mechanism=mechanism, topic_prefix=f"{protocol}-{mechanism}.")
    assert len(await ensure_topics(settings, [Topic(name="secret.v1")])) == 1
    topic = settings.topic("secret.v1")
    async with producer(settings) as client:
        await client.send_and_wait(topic, b"hush", partition=0)
    async with consumer(settings, topic, group_id=f"{topic}-group") as client:
        record = await client.getone()
    assert record.value == b"hush"


@pytest.mark.parametrize(
    ("protocol", "wrong", "names"),
    [
        ("SASL_PLAINTEXT", {"sasl_password": "wrong-canary"}, "KAFKA_SASL_PASSWORD"),
        ("SASL_SSL", {"sasl_password": "wrong-canary"}, "KAFKA_SASL_PASSWORD"),
        ("SASL_PLAINTEXT", {"sasl_mechanism": "PLAIN", "sasl_username": "eve"}, "KAFKA_SASL_USERNAME=eve"),
        ("SASL_PLAINTEXT", {"sasl_mechanism": "SCRAM-SHA-512"}, "KAFKA_SASL_MECHANISM=SCRAM-SHA-512"),
        ("SASL_SSL", {"ssl_cafile": None}, "KAFKA_SSL_CAFILE"),
        ("SASL_SSL", {"ssl_cafile": "other-ca.pem"}, "KAFKA_SSL_CAFILE"),
        ("SSL", {"ssl_certfile": None}, "KAFKA_SSL_CERTFILE"),
    ],
)
async def test_wrong_credentials_name_the_setting(
    secured: Secured, protocol: str, wrong: dict[str, Any], names: str
) -> None:
    if isinstance(wrong.get("ssl_cafile"), str):
        wrong = {"ssl_cafile": str(secured.folder / str(wrong["ssl_cafile"]))}
    with pytest.raises(InvalidSetting, match=names) as raised:
        await check_connection(secured.settings(protocol, **wrong))
    assert "canary" not in str(raised.value)


async def test_a_certificate_for_another_host_names_the_address(secured: Secured) -> None:
    settings = secured.settings("SASL_SSL", bootstrap_servers=f"localhost:{secured.ports['SASL_SSL']}")
    with pytest.raises(InvalidSetting, match="correct KAFKA_BOOTSTRAP_SERVERS"):
        await check_connection(settings)
    await check_connection(dataclasses.replace(settings, ssl_check_hostname=False))


@pytest.mark.parametrize(
    ("spoken", "port_of"),
    [("PLAINTEXT", "SASL_PLAINTEXT"), ("PLAINTEXT", "SASL_SSL"), ("SASL_SSL", "PLAINTEXT"), ("SASL_PLAINTEXT", "SSL")],
)
async def test_the_wrong_protocol_is_named(secured: Secured, spoken: str, port_of: str) -> None:
    settings = secured.settings(spoken, bootstrap_servers=f"127.0.0.1:{secured.ports[port_of]}")
    with pytest.raises(EvenhandError, match=f"KAFKA_SECURITY_PROTOCOL={spoken}"):
        await check_connection(settings, timeout_s=3)


async def test_an_address_without_a_broker_is_named() -> None:
    place = f"127.0.0.1:{processes.free_port()}"
    with pytest.raises(DependencyUnavailable, match=f"KAFKA_BOOTSTRAP_SERVERS={place}"):
        await check_connection(KafkaSettings(bootstrap_servers=place))


async def test_a_whole_worker_runs_behind_a_password_and_tls(secured: Secured, tmp_path: Path) -> None:
    """Consumer, producer, state and checks at start: what the worker cannot read comes back as a dead letter."""
    settings = secured.settings("SASL_SSL", topic_prefix="whole.")
    await ensure_topics(settings, every_topic())
    worker = processes.start(
        "a worker",
        [sys.executable, "-m", "faust", "-A", "agents.app", "worker", "-l", "warn", "--without-web"],
        log=tmp_path / "worker.log",
        env={**os.environ, **settings.environment(), "EVENHAND_HOME": str(tmp_path)},
        cwd=Path(__file__).parents[2],
    )
    try:
        async with producer(settings) as client:
            await client.send_and_wait(settings.topic(OUTCOMES), b"garbage", partition=3)
        async with asyncio.timeout(60), consumer(settings, settings.topic(DEAD_LETTERS)) as client:
            letter = await client.getone()
    except TimeoutError:
        pytest.fail(worker.log_tail(60))
    finally:
        worker.stop()
    assert json.loads(letter.value)["topic"] == OUTCOMES
    assert PASSWORD not in (tmp_path / "worker.log").read_text()
