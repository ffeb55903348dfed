"""What tests of several folders share: one broker a session, topics of their own for each test."""

import itertools
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from adapters.kafka.broker import Broker, start_broker
from adapters.kafka.settings import KafkaSettings

_numbers = itertools.count()


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """The broker of a test run: Apache Kafka where KAFKA_HOME is set, else the embedded one. Leave it running."""
    started = start_broker(
        tmp_path_factory.mktemp("broker"), kind="kafka" if os.environ.get("KAFKA_HOME") else "embedded"
    )
    yield started
    started.stop()


@pytest.fixture
def settings(broker: Broker, request: pytest.FixtureRequest) -> KafkaSettings:
    """Settings of the session's broker with a topic prefix that no other test has."""
    name = re.sub(r"[^a-zA-Z0-9]+", "-", request.node.name)[:40].strip("-")
    return KafkaSettings(
        bootstrap_servers=broker.bootstrap,
        topic_prefix=f"{name}-{next(_numbers)}.",
        known_capabilities=broker.capabilities,
    )


@pytest.fixture
def var(tmp_path: Path) -> Path:
    """A folder for what a test's processes leave behind."""
    return tmp_path / "var"
