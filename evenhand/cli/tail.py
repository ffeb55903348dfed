"""`evenhand tail`: what a topic holds and what comes, event by event."""

import asyncio
import contextlib
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from evenhand.cli import exits
from evenhand.cli.output import Json, as_json, note, when

if TYPE_CHECKING:
    from evenhand.client.subscribe import Received


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(tail)


def tail(
    topic: Annotated[str, typer.Argument(help="Such as decisions.v1")],
    from_: Annotated[
        str, typer.Option("--from", help="earliest, latest, a time (ISO 8601, ms, -15m), or PARTITION:OFFSET,...")
    ] = "latest",
    max_: Annotated[int, typer.Option("--max", "-n", min=0, help="End after so many; 0 is no end.")] = 0,
    follow: Annotated[
        bool, typer.Option("--follow/--no-follow", help="Wait for more, or end at what is there now.")
    ] = True,
    ticks: Annotated[bool, typer.Option("--ticks", help="Show ticks and controls, too.")] = False,
    envelope: Annotated[
        bool, typer.Option("--envelope", help="With --json: the record around each event, with its place and headers.")
    ] = False,
    timeout: Annotated[
        float, typer.Option("--timeout", help="End with status 5 after so many seconds; 0 is never.")
    ] = 0.0,
    json: Json = False,
) -> None:
    """Print the events of a topic, one a line, in order within each partition."""
    try:
        asyncio.run(_tail(topic, from_, max_, follow, ticks, envelope, json, timeout or None))
    except TimeoutError:
        note(f"no more events within {timeout:g} s")
        raise typer.Exit(exits.TIMEOUT) from None


async def _tail(
    topic: str, from_: str, most: int, follow: bool, ticks: bool, envelope: bool, json: bool, timeout_s: float | None
) -> None:
    from evenhand.client.subscribe import receive
    from evenhand.events import ControlChanged, DriftJudged, Ticked

    shown = 0
    async with asyncio.timeout(timeout_s), contextlib.aclosing(receive(topic, from_=from_, follow=follow)) as records:
        async for received in records:
            if isinstance(received.event, (Ticked, ControlChanged, DriftJudged)) and not ticks:
                continue
            if received.event is None and not envelope:
                note(f"{received.topic}[{received.partition}]@{received.offset} is no event: {received.reason}")
                continue
            sys.stdout.write((_json_line(received, envelope) if json else _line(received)) + "\n")
            sys.stdout.flush()
            shown += 1
            if most and shown >= most:
                return


def _json_line(received: "Received", envelope: bool) -> str:
    if not envelope:
        return as_json(received.event, indent=0)
    return as_json(
        {
            "topic": received.topic, "partition": received.partition, "offset": received.offset,
            "timestamp": received.timestamp, "key": _text(received.key),
            "headers": {name: _text(value) for name, value in received.headers},
            "event": received.event,
            **({} if received.event is not None else {"value": _text(received.value), "reason": received.reason}),
        },
        indent=0,
    )  # fmt: skip


def _line(received: "Received") -> str:
    event: Any = received.event
    place = f"{received.partition}:{received.offset}"
    if event is None:
        return f"{place:>9}  no event: {received.reason}"
    import msgspec

    fields = msgspec.to_builtins(event)
    rest = {name: value for name, value in fields.items() if name not in {"type", "id", "time", "key"}}
    return f"{place:>9}  {when(event.time)}  {type(event).__name__}  {event.key}  {event.id}  {as_json(rest, indent=0)}"


def _text(raw: bytes | None) -> str | None:
    return None if raw is None else raw.decode(errors="backslashreplace")
