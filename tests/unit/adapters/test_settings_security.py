"""SASL and TLS settings reach every client; wrong ones are refused with the name of the setting."""

import inspect
import ssl
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient

from adapters.errors import InvalidSetting
from adapters.kafka.capabilities import EMBEDDED, EVERYTHING
from adapters.kafka.settings import KafkaSettings

SASL = {
    "KAFKA_BOOTSTRAP_SERVERS": "kafka.example:9093",
    "KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
    "KAFKA_SASL_MECHANISM": "SCRAM-SHA-512",
    "KAFKA_SASL_USERNAME": "ada",
    "KAFKA_SASL_PASSWORD": "canary-7f3a",
}


def test_everything_is_read_from_the_environment() -> None:
    settings = KafkaSettings.from_environment(SASL | {"EVENHAND_TOPIC_PREFIX": "x.", "EVENHAND_PARTITIONS": "4"})
    assert settings.bootstrap_servers == "kafka.example:9093"
    assert settings.security_protocol == "SASL_SSL"
    assert settings.topic("outcomes.v1") == "x.outcomes.v1"
    assert settings.bare("x.outcomes.v1") == "outcomes.v1"
    assert settings.partitions == 4
    kwargs = settings.client_kwargs()
    assert kwargs["sasl_mechanism"] == "SCRAM-SHA-512"
    assert (kwargs["sasl_plain_username"], kwargs["sasl_plain_password"]) == ("ada", "canary-7f3a")
    context = kwargs["ssl_context"]
    assert context.check_hostname
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2


def test_without_settings_it_is_a_plain_broker_here() -> None:
    settings = KafkaSettings.from_environment({})
    assert settings.client_kwargs() == {"bootstrap_servers": ["127.0.0.1:9092"], "security_protocol": "PLAINTEXT"}


@pytest.mark.parametrize("client", [AIOKafkaConsumer, AIOKafkaProducer, AIOKafkaAdminClient])
def test_every_client_takes_them(client: type) -> None:
    taken = set(inspect.signature(client).parameters)
    assert set(KafkaSettings.from_environment(SASL).client_kwargs()) <= taken


def test_a_child_process_gets_the_same_settings() -> None:
    settings = KafkaSettings.from_environment(SASL | {"KAFKA_SSL_CHECK_HOSTNAME": "no"})
    assert KafkaSettings.from_environment(settings.environment()) == KafkaSettings.from_environment(
        SASL | {"KAFKA_SSL_CHECK_HOSTNAME": "no", "EVENHAND_BROKER_LACKS": "nothing"}
    )


def test_a_child_process_is_told_what_the_broker_lacks() -> None:
    settings = KafkaSettings(known_capabilities=EMBEDDED)
    again = KafkaSettings.from_environment(settings.environment())
    assert again.capabilities == EMBEDDED
    assert not again.idempotence
    assert KafkaSettings(known_capabilities=EVERYTHING).idempotence


def test_the_password_is_not_shown() -> None:
    settings = KafkaSettings.from_environment(SASL | {"KAFKA_SSL_KEY_PASSWORD": "canary-key"})
    assert "canary" not in f"{settings!r} {settings}"


@pytest.mark.parametrize(
    ("wrong", "names"),
    [
        ({"KAFKA_SECURITY_PROTOCOL": "TLS"}, "KAFKA_SECURITY_PROTOCOL=TLS"),
        ({"KAFKA_BOOTSTRAP_SERVERS": "kafka.example"}, "KAFKA_BOOTSTRAP_SERVERS"),
        ({"KAFKA_BOOTSTRAP_SERVERS": ","}, "KAFKA_BOOTSTRAP_SERVERS"),
        ({"KAFKA_SASL_MECHANISM": "OAUTHBEARER"}, "KAFKA_SASL_MECHANISM=OAUTHBEARER"),
        ({"KAFKA_SASL_MECHANISM": ""}, "KAFKA_SASL_MECHANISM"),
        ({"KAFKA_SASL_USERNAME": ""}, "KAFKA_SASL_USERNAME"),
        ({"KAFKA_SASL_PASSWORD": ""}, "KAFKA_SASL_PASSWORD"),
        ({"KAFKA_SECURITY_PROTOCOL": "PLAINTEXT"}, "KAFKA_SASL_MECHANISM is set"),
        ({"KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT"}, "KAFKA_ALLOW_PLAINTEXT_CREDENTIALS"),
        ({"KAFKA_SSL_CAFILE": "/no/such/ca.pem"}, "KAFKA_SSL_CAFILE=/no/such/ca.pem"),
        ({"KAFKA_SSL_CHECK_HOSTNAME": "perhaps"}, "KAFKA_SSL_CHECK_HOSTNAME=perhaps"),
        ({"EVENHAND_PARTITIONS": "eight"}, "EVENHAND_PARTITIONS=eight"),
        ({"EVENHAND_PARTITIONS": "0"}, "EVENHAND_PARTITIONS=0"),
        ({"EVENHAND_REPLICATION_FACTOR": "0"}, "EVENHAND_REPLICATION_FACTOR=0"),
        ({"EVENHAND_BROKER_LACKS": "wings"}, "EVENHAND_BROKER_LACKS names wings"),
    ],
)
def test_a_wrong_setting_is_named(wrong: dict[str, str], names: str) -> None:
    with pytest.raises(InvalidSetting, match=names) as raised:
        KafkaSettings.from_environment(SASL | wrong)
    assert "canary" not in str(raised.value)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.1.2.3", "[::1]"])
def test_a_password_may_go_in_the_clear_on_this_machine(host: str) -> None:
    plain = {"KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT", "KAFKA_BOOTSTRAP_SERVERS": f"{host}:9092"}
    assert "ssl_context" not in KafkaSettings.from_environment(SASL | plain).client_kwargs()


@pytest.mark.parametrize("host", ["localhost.example", "10.0.0.1", "127.0.0.1.example", "localhost:9092,kafka.example"])
def test_a_password_goes_elsewhere_in_the_clear_only_if_allowed(host: str) -> None:
    plain = SASL | {"KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT", "KAFKA_BOOTSTRAP_SERVERS": f"{host}:9092"}
    with pytest.raises(InvalidSetting, match="where others can read them"):
        KafkaSettings.from_environment(plain)
    KafkaSettings.from_environment(plain | {"KAFKA_ALLOW_PLAINTEXT_CREDENTIALS": "yes"})


def test_files_without_tls_are_an_error(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("")
    with pytest.raises(InvalidSetting, match="KAFKA_SSL_CAFILE is set, but KAFKA_SECURITY_PROTOCOL=PLAINTEXT"):
        KafkaSettings.from_environment({"KAFKA_SSL_CAFILE": str(tmp_path / "ca.pem")})


def test_files_that_hold_no_certificates_are_an_error(tmp_path: Path) -> None:
    nonsense = tmp_path / "ca.pem"
    nonsense.write_text("nonsense")
    for name in ("KAFKA_SSL_CAFILE", "KAFKA_SSL_CERTFILE"):
        settings = KafkaSettings.from_environment({"KAFKA_SECURITY_PROTOCOL": "SSL", name: str(nonsense)})
        with pytest.raises(InvalidSetting, match=name):
            settings.client_kwargs()


def test_a_key_without_a_certificate_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "key.pem").write_text("")
    with pytest.raises(InvalidSetting, match="KAFKA_SSL_KEYFILE is set without KAFKA_SSL_CERTFILE"):
        KafkaSettings.from_environment(
            {"KAFKA_SECURITY_PROTOCOL": "SSL", "KAFKA_SSL_KEYFILE": str(tmp_path / "key.pem")}
        )
