"""What several commands ask for: the folder, the configuration, what holds, and to give a command."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evenhand.events import CommandGiven, ControlChanged

if TYPE_CHECKING:
    from adapters.configuration import Configuration
    from adapters.kafka.log_reader import LogReader
    from adapters.kafka.settings import KafkaSettings
    from evenhand.topics import Topic
    from models.store import ModelStore


def home_folder() -> Path:
    """The folder of everything that is not in Kafka."""
    from evenhand.client.checkout import root

    root()
    from adapters.run_state import home

    return home()


def model_store() -> "ModelStore":
    """The models of this folder."""
    folder = home_folder()
    from models.store import ModelStore

    return ModelStore(folder / "models")


def configuration() -> "Configuration":
    """What `config/*.yaml` say."""
    from evenhand.client.checkout import root

    checkout = root()
    from adapters.configuration import config_folder, read_configuration

    return read_configuration(config_folder(checkout))


def declared_topics() -> "tuple[Topic, ...]":
    """Every topic, with the retention that alerts.yaml says."""
    from evenhand.client.checkout import root

    checkout = root()
    from adapters.configuration import config_folder, read_alerting
    from evenhand.topics import every_topic

    return every_topic(read_alerting(config_folder(checkout)).retention_days)


@contextlib.asynccontextmanager
async def open_log() -> AsyncIterator[tuple["KafkaSettings", "LogReader"]]:
    """The broker of this folder or of the environment, and a reader of its log."""
    from evenhand.client.connection import kafka_settings

    settings = kafka_settings()
    from adapters.kafka.log_reader import log_reader

    async with log_reader(settings) as reader:
        yield settings, reader


def what_holds() -> dict[str, ControlChanged]:
    """The control that holds for each model."""

    async def read() -> dict[str, ControlChanged]:
        async with open_log() as (_, reader):
            from adapters.loop_state import holding

            return await holding(reader)

    return asyncio.run(read())


def obey(model: str, command: Any, reason: str, timeout_s: float, **more: Any) -> ControlChanged:
    """Give a command in the name of whoever runs this, and wait for what follows. Raises Refused or NoAnswer."""
    from evenhand.client.commands import give_command
    from evenhand.client.identity import new_id, now_ms, who

    given = CommandGiven(
        id=new_id(), time=now_ms(), key=model, model=model, command=command, by=who(), reason=reason, **more
    )
    return give_command(given, timeout_s=timeout_s)
