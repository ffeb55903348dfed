"""A broker that we started ourselves."""

from dataclasses import dataclass

from adapters.kafka.capabilities import Capabilities
from adapters.processes import LOOPBACK, Child


@dataclass(frozen=True)
class LocalBroker:
    """A child process that listens on loopback. See `adapters.kafka.broker.Broker`."""

    name: str
    port: int
    capabilities: Capabilities
    child: Child

    @property
    def bootstrap(self) -> str:
        """HOST:PORT."""
        return f"{LOOPBACK}:{self.port}"

    @property
    def pid(self) -> int:
        """Its process."""
        return self.child.pid

    def alive(self) -> bool:
        """Whether it runs."""
        return self.child.alive()

    def environment(self) -> dict[str, str]:
        """What a child process needs to use it."""
        return {"KAFKA_BOOTSTRAP_SERVERS": self.bootstrap, **self.capabilities.environment()}

    def stop(self) -> None:
        """End it."""
        self.child.stop()
