"""How to reach Kafka, and which topics are ours: read once from the environment, then passed to every client."""

import ipaddress
import os
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from adapters.errors import InvalidSetting
from adapters.kafka import wire
from adapters.kafka.capabilities import EVERYTHING, Capabilities, declared, probe

PROTOCOLS = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")
MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
AS_MANY_AS_USEFUL = -1
_TRUE, _FALSE = ("1", "true", "yes", "on"), ("0", "false", "no", "off", "")


@dataclass(frozen=True, kw_only=True)
class KafkaSettings:
    """Everything that a client of ours needs to know. Invalid combinations raise, naming the variable at fault."""

    bootstrap_servers: str = "127.0.0.1:9092"
    """KAFKA_BOOTSTRAP_SERVERS: HOST:PORT, several with commas."""
    security_protocol: str = "PLAINTEXT"
    """KAFKA_SECURITY_PROTOCOL: PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL."""
    sasl_mechanism: str | None = None
    """KAFKA_SASL_MECHANISM: PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512."""
    sasl_username: str | None = None
    """KAFKA_SASL_USERNAME."""
    sasl_password: str | None = field(default=None, repr=False)
    """KAFKA_SASL_PASSWORD. Never shown or logged."""
    ssl_cafile: str | None = None
    """KAFKA_SSL_CAFILE: the authorities to trust, PEM; the system's if unset."""
    ssl_certfile: str | None = None
    """KAFKA_SSL_CERTFILE: our own certificate, PEM, where the broker asks for one."""
    ssl_keyfile: str | None = None
    """KAFKA_SSL_KEYFILE: its key, PEM, if it is not in the same file."""
    ssl_key_password: str | None = field(default=None, repr=False)
    """KAFKA_SSL_KEY_PASSWORD."""
    ssl_check_hostname: bool = True
    """KAFKA_SSL_CHECK_HOSTNAME=no accepts a certificate that names another host."""
    allow_plaintext_credentials: bool = False
    """KAFKA_ALLOW_PLAINTEXT_CREDENTIALS=yes sends a password over SASL_PLAINTEXT to another machine."""
    topic_prefix: str = ""
    """EVENHAND_TOPIC_PREFIX: empty for live topics, `replay-x.` in a replay."""
    partitions: int = 8
    """EVENHAND_PARTITIONS: of every topic; never changed once topics exist."""
    replication_factor: int = AS_MANY_AS_USEFUL
    """EVENHAND_REPLICATION_FACTOR: of topics that we create; -1 is 3, or as many as there are brokers."""
    known_capabilities: Capabilities | None = None
    """What the broker can do, where it is known without asking."""

    def __post_init__(self) -> None:
        _check(self)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> "KafkaSettings":
        """Read the variables that the fields name."""
        text = {name: environment.get(variable, "").strip() or None for name, variable in _TEXT.items()}
        given: dict[str, Any] = {name: value for name, value in text.items() if value is not None}
        for name in ("security_protocol", "sasl_mechanism"):
            if name in given:
                given[name] = given[name].upper()
        for name, variable in _SWITCHES.items():
            if (value := environment.get(variable)) is not None:
                given[name] = _switch(variable, value)
        for name, variable in _NUMBERS.items():
            if value := environment.get(variable, "").strip():
                given[name] = _number(variable, value)
        return cls(**given, known_capabilities=declared(environment))

    @cached_property
    def capabilities(self) -> Capabilities:
        """What the broker can do: as declared, else as it says itself."""
        if self.known_capabilities is not None:
            return self.known_capabilities
        return probe(self.bootstrap_servers) if self.security_protocol == "PLAINTEXT" else EVERYTHING

    @property
    def idempotence(self) -> bool:
        """Whether producers are to be idempotent."""
        return self.capabilities.idempotent_producer

    def client_kwargs(self) -> dict[str, Any]:
        """Arguments that every aiokafka client takes: consumer, producer, admin."""
        kwargs: dict[str, Any] = {
            "bootstrap_servers": [part.strip() for part in self.bootstrap_servers.split(",") if part.strip()],
            "security_protocol": self.security_protocol,
        }
        if self.security_protocol.endswith("SSL"):
            kwargs["ssl_context"] = self.ssl_context()
        if self.security_protocol.startswith("SASL"):
            kwargs |= {
                "sasl_mechanism": self.sasl_mechanism,
                "sasl_plain_username": self.sasl_username,
                "sasl_plain_password": self.sasl_password,
            }
        return kwargs

    def ssl_context(self) -> ssl.SSLContext:
        """TLS 1.2 or later, certificate and host name checked."""
        try:
            context = ssl.create_default_context(cafile=self.ssl_cafile)
        except (OSError, ssl.SSLError) as error:
            raise InvalidSetting(f"KAFKA_SSL_CAFILE={self.ssl_cafile} holds no certificates in PEM: {error}") from error
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.check_hostname = self.ssl_check_hostname
        if self.ssl_certfile:
            try:
                context.load_cert_chain(self.ssl_certfile, self.ssl_keyfile, self.ssl_key_password or "")
            except (OSError, ssl.SSLError) as error:
                raise InvalidSetting(
                    f"KAFKA_SSL_CERTFILE={self.ssl_certfile} with KAFKA_SSL_KEYFILE={self.ssl_keyfile or 'unset'} "
                    f"cannot be used: {error}; give a certificate and its key in PEM, and KAFKA_SSL_KEY_PASSWORD if "
                    "the key has one"
                ) from error
        return context

    def environment(self) -> dict[str, str]:
        """The variables that give a child process these settings."""
        variables = {variable: getattr(self, name) for name, variable in _TEXT.items()}
        variables |= {variable: "yes" if getattr(self, name) else "no" for name, variable in _SWITCHES.items()}
        variables |= {variable: str(getattr(self, name)) for name, variable in _NUMBERS.items()}
        variables |= self.capabilities.environment()
        return {name: value for name, value in variables.items() if value is not None}

    def with_prefix(self, prefix: str) -> "KafkaSettings":
        """Return the same broker with other topics."""
        return replace(self, topic_prefix=prefix, known_capabilities=self.capabilities)

    def topic(self, bare: str) -> str:
        """The topic's name on the broker.

        >>> KafkaSettings(topic_prefix="replay-1.").topic("outcomes.v1")
        'replay-1.outcomes.v1'
        """
        return self.topic_prefix + bare

    def bare(self, full: str) -> str:
        """Undo `topic`. Raises if the topic is not one of ours."""
        if not full.startswith(self.topic_prefix):
            raise ValueError(f"topic {full!r} does not begin with the prefix {self.topic_prefix!r}")
        return full[len(self.topic_prefix) :]


_TEXT = {
    "bootstrap_servers": "KAFKA_BOOTSTRAP_SERVERS",
    "security_protocol": "KAFKA_SECURITY_PROTOCOL",
    "sasl_mechanism": "KAFKA_SASL_MECHANISM",
    "sasl_username": "KAFKA_SASL_USERNAME",
    "sasl_password": "KAFKA_SASL_PASSWORD",
    "ssl_cafile": "KAFKA_SSL_CAFILE",
    "ssl_certfile": "KAFKA_SSL_CERTFILE",
    "ssl_keyfile": "KAFKA_SSL_KEYFILE",
    "ssl_key_password": "KAFKA_SSL_KEY_PASSWORD",
    "topic_prefix": "EVENHAND_TOPIC_PREFIX",
}
_SWITCHES = {
    "ssl_check_hostname": "KAFKA_SSL_CHECK_HOSTNAME",
    "allow_plaintext_credentials": "KAFKA_ALLOW_PLAINTEXT_CREDENTIALS",
}
_NUMBERS = {"partitions": "EVENHAND_PARTITIONS", "replication_factor": "EVENHAND_REPLICATION_FACTOR"}


def _check(settings: KafkaSettings) -> None:
    protocol = settings.security_protocol
    if protocol not in PROTOCOLS:
        raise InvalidSetting(f"KAFKA_SECURITY_PROTOCOL={protocol} is unknown: write one of {', '.join(PROTOCOLS)}")
    try:
        hosts = [host for host, _ in wire.addresses(settings.bootstrap_servers)]
    except ValueError as error:
        raise InvalidSetting(f"KAFKA_BOOTSTRAP_SERVERS: {error}; write host:port, several with commas") from error
    if not hosts:
        raise InvalidSetting("KAFKA_BOOTSTRAP_SERVERS is empty: write host:port, several with commas")
    if settings.partitions < 1:
        raise InvalidSetting(f"EVENHAND_PARTITIONS={settings.partitions}: write a number of at least 1")
    if settings.replication_factor < 1 and settings.replication_factor != AS_MANY_AS_USEFUL:
        raise InvalidSetting(f"EVENHAND_REPLICATION_FACTOR={settings.replication_factor}: write at least 1, or -1")
    _check_sasl(settings, hosts)
    _check_tls(settings)


def _check_sasl(settings: KafkaSettings, hosts: list[str]) -> None:
    given = {
        "KAFKA_SASL_MECHANISM": settings.sasl_mechanism,
        "KAFKA_SASL_USERNAME": settings.sasl_username,
        "KAFKA_SASL_PASSWORD": settings.sasl_password,
    }
    protocol = settings.security_protocol
    if not protocol.startswith("SASL"):
        if wrong := [name for name, value in given.items() if value is not None]:
            raise InvalidSetting(
                f"{wrong[0]} is set, but KAFKA_SECURITY_PROTOCOL={protocol} would not use it: write SASL_SSL, or unset "
                f"{' and '.join(wrong)}"
            )
        return
    if missing := [name for name, value in given.items() if not value]:
        raise InvalidSetting(f"KAFKA_SECURITY_PROTOCOL={protocol} needs {', '.join(missing)}: set it")
    if settings.sasl_mechanism not in MECHANISMS:
        raise InvalidSetting(
            f"KAFKA_SASL_MECHANISM={settings.sasl_mechanism} is not supported: write one of {', '.join(MECHANISMS)}"
        )
    away = [host for host in hosts if not _is_loopback(host)]
    if protocol == "SASL_PLAINTEXT" and away and not settings.allow_plaintext_credentials:
        raise InvalidSetting(
            f"KAFKA_SECURITY_PROTOCOL=SASL_PLAINTEXT would send credentials to {away[0]} where others can read them: "
            "write SASL_SSL, or set KAFKA_ALLOW_PLAINTEXT_CREDENTIALS=yes if the network is yours alone"
        )


def _check_tls(settings: KafkaSettings) -> None:
    files = {
        "KAFKA_SSL_CAFILE": settings.ssl_cafile,
        "KAFKA_SSL_CERTFILE": settings.ssl_certfile,
        "KAFKA_SSL_KEYFILE": settings.ssl_keyfile,
    }
    for name, path in files.items():
        if path is None:
            continue
        if not settings.security_protocol.endswith("SSL"):
            raise InvalidSetting(
                f"{name} is set, but KAFKA_SECURITY_PROTOCOL={settings.security_protocol} would not use it: write SSL "
                f"or SASL_SSL, or unset {name}"
            )
        if not Path(path).is_file():
            raise InvalidSetting(f"{name}={path}: there is no such file")
    if settings.ssl_keyfile and not settings.ssl_certfile:
        raise InvalidSetting("KAFKA_SSL_KEYFILE is set without KAFKA_SSL_CERTFILE: set both, or neither")


def _is_loopback(host: str) -> bool:
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _switch(variable: str, value: str) -> bool:
    word = value.strip().lower()
    if word not in (*_TRUE, *_FALSE):
        raise InvalidSetting(f"{variable}={value}: write yes or no")
    return word in _TRUE


def _number(variable: str, value: str) -> int:
    try:
        return int(value)
    except ValueError as error:
        raise InvalidSetting(f"{variable}={value} is not a whole number") from error
