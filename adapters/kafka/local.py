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
        return f"{LOOPBACK}:{self.port}"

    @property
    def pid(self) -> int:
        return self.child.pid

    def alive(self) -> bool:
        return self.child.alive()

    def environment(self) -> dict[str, str]:
        return {"KAFKA_BOOTSTRAP_SERVERS": self.bootstrap, **self.capabilities.environment()}

    def stop(self) -> None:
        self.child.stop()
