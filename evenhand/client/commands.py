"""Gives commands and waits for what follows: the control that now holds, or the reason of a refusal."""

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

from evenhand.client.connection import kafka_settings
from evenhand.client.produce import Place, Producer
from evenhand.codec import decoder
from evenhand.errors import EvenhandError
from evenhand.events import CommandGiven, ControlChanged, DeadLettered
from evenhand.topics import COMMANDS, DEAD_LETTERS, REQUESTS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from adapters.kafka.log_reader import LogReader
    from adapters.kafka.settings import KafkaSettings

TIMEOUT_S = 30.0


class Refused(EvenhandError):
    """The command was refused; the message is the reason."""


class NoAnswer(EvenhandError):
    """Nothing followed from the command in time. It stands in the log, and may still be obeyed."""


async def give(
    command: CommandGiven, *, settings: "KafkaSettings | None" = None, timeout_s: float = TIMEOUT_S
) -> ControlChanged:
    """Give a command that changes what holds; return the control when it is in every partition of the requests.

    Raises Refused with the reason, or NoAnswer.
    """
    settings = settings or kafka_settings()
    from adapters.kafka.log_reader import log_reader

    try:
        async with asyncio.timeout(timeout_s), log_reader(settings) as reader:
            requests = await reader.places(REQUESTS)
            starts = await reader.ends([*requests, *await reader.places(DEAD_LETTERS)])
            async with Producer(settings) as producer:
                at = await producer.send(command)
            at = at._replace(topic=settings.bare(at.topic))
            return await _answer(reader, starts, command, at, len(requests))
    except TimeoutError:
        raise NoAnswer(
            f"nothing followed from the command {command.id} within {timeout_s:g} s; it stands in {COMMANDS} and will "
            "be obeyed when a worker runs: see `evenhand status`"
        ) from None


def give_command(
    command: CommandGiven, *, settings: "KafkaSettings | None" = None, timeout_s: float = TIMEOUT_S
) -> ControlChanged:
    """Do what `give` does, without asyncio."""
    return asyncio.run(give(command, settings=settings, timeout_s=timeout_s))


async def _answer(
    reader: "LogReader", starts: "dict[Any, int]", command: CommandGiven, at: Place, partitions: int
) -> ControlChanged:
    seen: set[int] = set()
    async with contextlib.aclosing(reader.read(starts)) as records:
        async for record in records:
            value = record.value or b""
            if record.topic.endswith(DEAD_LETTERS):
                _raise_if_refused(value, at)
            elif command.id.encode() in value and _is_control(record.headers, value):
                control = decoder(ControlChanged).decode(value)
                if control.cause == command.id:
                    seen.add(record.partition)
                    if len(seen) == partitions:
                        return control
    raise AssertionError("unreachable")


def _raise_if_refused(value: bytes, at: Place) -> None:
    letter = decoder(DeadLettered).decode(value)
    if (letter.topic, letter.partition, letter.offset) == at:
        raise Refused(letter.reason)


def _is_control(headers: "Sequence[tuple[str, bytes]]", value: bytes) -> bool:
    return ("ce_type", b"ControlChanged") in headers or b'"type":"ControlChanged"' in value
