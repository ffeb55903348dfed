"""A broker that somebody else runs, named by KAFKA_BOOTSTRAP_SERVERS."""

import contextlib
import os
import socket
from dataclasses import dataclass

from adapters.errors import DependencyUnavailable, InvalidSetting
from adapters.kafka import wire
from adapters.kafka.capabilities import Capabilities, probe


@dataclass(frozen=True)
class ExternalBroker:
    """See `adapters.kafka.broker.Broker`. It is never stopped."""

    name: str
    bootstrap: str
    capabilities: Capabilities
    pid: None = None

    def alive(self) -> bool:
        """Whether something listens there."""
        return _reachable(self.bootstrap)

    def environment(self) -> dict[str, str]:
        """What a child process needs to use it."""
        return {"KAFKA_BOOTSTRAP_SERVERS": self.bootstrap, **self.capabilities.environment()}

    def stop(self) -> None:
        """Leave it as it is: it is not ours."""


def use_external() -> ExternalBroker:
    """Find out what the broker of KAFKA_BOOTSTRAP_SERVERS can do. Raises if nothing listens there."""
    bootstrap = os.environ.get("KAFKA_BOOTSTRAP_SERVERS", "")
    try:
        places = list(wire.addresses(bootstrap))
    except ValueError as error:
        raise InvalidSetting(f"KAFKA_BOOTSTRAP_SERVERS: {error}; write host:port, several with commas") from error
    if not places:
        raise InvalidSetting("KAFKA_BOOTSTRAP_SERVERS is empty: write host:port, several with commas")
    if not _reachable(bootstrap):
        raise DependencyUnavailable(
            f"no broker answers at KAFKA_BOOTSTRAP_SERVERS={bootstrap}: start it, or correct the setting, or unset it "
            "to use the embedded broker"
        )
    plain = os.environ.get("KAFKA_SECURITY_PROTOCOL", "PLAINTEXT").upper() in {"PLAINTEXT", "SASL_PLAINTEXT"}
    return ExternalBroker("external", bootstrap, probe(bootstrap) if plain else Capabilities())


def _reachable(bootstrap: str) -> bool:
    for place in wire.addresses(bootstrap):
        with contextlib.suppress(OSError), socket.create_connection(place, 5.0):
            return True
    return False
