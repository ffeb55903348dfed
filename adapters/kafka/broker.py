"""Brokers: the one that the environment names, one of a local Apache Kafka, or the embedded one."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, Protocol

from adapters.errors import InvalidSetting
from adapters.kafka.capabilities import Capabilities
from adapters.kafka.embedded import start_embedded
from adapters.kafka.external import use_external
from adapters.kafka.kafka_home import start_kafka

Kind = Literal["embedded", "kafka", "external"]


class Broker(Protocol):
    """A broker that is ready. `pid` is None where it is not ours."""

    @property
    def name(self) -> str:
        """For people: what kind of broker it is. Code looks at `capabilities`."""

    @property
    def bootstrap(self) -> str:
        """HOST:PORT, or several with commas."""

    @property
    def capabilities(self) -> Capabilities:
        """What it can do."""

    @property
    def pid(self) -> int | None:
        """Its process, if we started it."""

    def alive(self) -> bool:
        """Whether it runs, or (not ours) whether it answers."""

    def environment(self) -> dict[str, str]:
        """What a child process needs to use this broker."""

    def stop(self) -> None:
        """End it, if we started it."""


def chosen_kind(environment: Mapping[str, str] = os.environ) -> Kind:
    """KAFKA_BOOTSTRAP_SERVERS names an external broker, else KAFKA_HOME has a local one, else it is embedded."""
    if environment.get("KAFKA_BOOTSTRAP_SERVERS"):
        return "external"
    return "kafka" if environment.get("KAFKA_HOME") else "embedded"


def start_broker(var: Path, *, port: int | None = None, kind: Kind | None = None) -> Broker:
    """Start a broker on loopback that ends with this process, and wait until it is ready; data and logs go to `var`.

    Pass the `port` of a broker that died to start it again in its place.
    """
    match kind or chosen_kind():
        case "embedded":
            return start_embedded(var, port=port)
        case "kafka":
            home = os.environ.get("KAFKA_HOME")
            if not home:
                raise InvalidSetting("KAFKA_HOME is not set: set it to the folder of an Apache Kafka 4 distribution")
            return start_kafka(var, home=Path(home), port=port)
        case "external":
            return use_external()
