"""`evenhand produce`: events from a file or a pipe, line by line."""

import asyncio
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from evenhand.cli import exits
from evenhand.cli.output import Json, note, result

_IN_FLIGHT = 5000
_SHOWN = 1000


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(produce)


def produce(
    topic: Annotated[str, typer.Argument(help="Such as prediction-requests.v1")],
    file: Annotated[str, typer.Argument(metavar="FILE|-", help="NDJSON: one event a line; - reads standard input.")],
    json: Json = False,
) -> None:
    """Send events. A line that its topic does not take is refused with its number and the reason; the others are sent.

    Exit status 1 if any line was refused.
    """
    from evenhand.client.produce import WRITABLE
    from evenhand.errors import InvalidConfiguration

    if topic not in WRITABLE:
        raise InvalidConfiguration(f"{topic!r} is not written by users: they write {', '.join(WRITABLE)}")
    if file != "-" and not Path(file).is_file():
        raise InvalidConfiguration(f"there is no file {file!r}: name an NDJSON file, or - for standard input")
    summary = asyncio.run(_produce(topic, file))
    result(summary, json, lambda: f"{summary['acknowledged']} acknowledged, {summary['refused']} refused by {topic}")
    if summary["refused"]:
        raise typer.Exit(exits.FAILED)


def _lines(file: str) -> Iterator[bytes]:
    if file == "-":
        yield from sys.stdin.buffer
    else:
        with Path(file).open("rb") as opened:
            yield from opened


async def _produce(topic: str, file: str) -> dict[str, Any]:
    from evenhand.client.produce import Producer, check_sendable, place
    from evenhand.codec import decode
    from evenhand.errors import EvenhandError, InvalidEvent

    summary: dict[str, Any] = {"topic": topic, "acknowledged": 0, "refused": 0, "refusals": []}
    waiting: list[tuple[int, asyncio.Future[Any]]] = []

    def refuse(number: int, reason: str) -> None:
        summary["refused"] += 1
        if len(summary["refusals"]) < _SHOWN:
            summary["refusals"].append({"line": number, "reason": reason})
        note(f"line {number}: {reason}")

    async def acknowledge() -> None:
        for number, future in waiting:
            try:
                await place(future)
            except EvenhandError as error:
                refuse(number, str(error))
            else:
                summary["acknowledged"] += 1
        waiting.clear()

    async with Producer(source="/evenhand/cli") as producer:
        for number, line in enumerate(_lines(file), 1):
            value = line.strip()
            if not value:
                continue
            try:
                event = decode(topic, value)
                check_sendable(topic, event)
            except InvalidEvent as error:
                refuse(number, str(error))
                continue
            waiting.append((number, await producer.enqueue(topic, event, value)))
            if len(waiting) >= _IN_FLIGHT:
                await acknowledge()
        await acknowledge()
    return summary
