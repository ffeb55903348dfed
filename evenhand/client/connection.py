"""Which broker a client talks to."""

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

from evenhand.client.checkout import root

if TYPE_CHECKING:
    from adapters.kafka.settings import KafkaSettings


def kafka_settings(environment: Mapping[str, str] = os.environ) -> "KafkaSettings":
    """The broker that the environment names, else the one that `evenhand up` has started in this folder."""
    root()
    from adapters.errors import DependencyUnavailable
    from adapters.kafka.settings import KafkaSettings
    from adapters.run_state import home, read_state

    if environment.get("KAFKA_BOOTSTRAP_SERVERS", "").strip():
        return KafkaSettings.from_environment(environment)
    folder = home(environment)
    state = read_state(folder)
    if state is None or not state.environment:
        raise DependencyUnavailable(
            f"KAFKA_BOOTSTRAP_SERVERS is not set, and nothing was started in {folder}: run `evenhand up --detach`, or "
            "set KAFKA_BOOTSTRAP_SERVERS to a broker that runs"
        )
    if not state.alive():
        raise DependencyUnavailable(
            f"what was started in {folder} has ended: run `evenhand up --detach`, or set KAFKA_BOOTSTRAP_SERVERS to a "
            "broker that runs"
        )
    return KafkaSettings.from_environment({**environment, **state.environment})
