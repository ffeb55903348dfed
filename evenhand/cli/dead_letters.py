"""`evenhand dead-letters`: records that could not be taken, and to put them back after a fix."""

import asyncio
import base64
import contextlib
from typing import TYPE_CHECKING, Annotated, Any

import typer

from evenhand.cli import exits
from evenhand.cli.output import Json, note, result, table, when
from evenhand.events import DeadLettered

if TYPE_CHECKING:
    from aiokafka import ConsumerRecord

    from adapters.kafka.log_reader import LogReader
    from adapters.kafka.settings import KafkaSettings

group = typer.Typer(
    name="dead-letters", help="Records that could not be taken, each with its reason.", no_args_is_help=True
)
Topic = Annotated[str | None, typer.Option("--topic", help="Only those of this topic.")]
From = Annotated[str, typer.Option("--from", help="earliest, a time (ISO 8601, ms, -15m), or PARTITION:OFFSET,...")]
Containing = Annotated[str, typer.Option("--reason", help="Only those whose reason has this text.")]
REDRIVEN = "redriven"


def register(app: typer.Typer) -> None:
    """Add the group."""
    app.add_typer(group)


@group.command("list")
def list_letters(
    topic: Topic = None, from_: From = "earliest", reason: Containing = "",
    max_: Annotated[int, typer.Option("--max", "-n", min=1, help="At most so many, the last ones.")] = 100,
    json: Json = False,
) -> None:  # fmt: skip
    """The dead letters, the last ones at the end."""
    letters = asyncio.run(_letters(topic, from_, reason))[-max_:]
    result(
        letters, json,
        lambda: table(
            ["id", "when", "topic", "place", "bytes", "reason"],
            [
                [each.id, when(each.time), each.topic, f"{each.partition}:{each.offset}", each.length, each.reason]
                for each in letters
            ],
        ) if letters else "no dead letters",
    )  # fmt: skip


@group.command()
def redrive(
    ids: Annotated[list[str] | None, typer.Argument(help="Ids of dead letters.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="All that the options leave.")] = False,
    topic: Topic = None,
    from_: From = "earliest",
    reason: Containing = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be sent.")] = False,
    json: Json = False,
) -> None:
    """Put records back into the topics that they came from, after whatever was wrong has been mended.

    Each is read from its source again, byte for byte. One that its topic still does not take is left, with the
    reason, and leads to status 1. A record that comes twice has the same id, and counts once.
    """
    from evenhand.errors import InvalidConfiguration

    if not ids and not everything:
        raise InvalidConfiguration(
            "name the ids of dead letters, or write --all: `evenhand dead-letters list` shows them"
        )
    summary = asyncio.run(_redrive(ids, topic, from_, reason, dry_run))
    result(
        summary, json,
        lambda: f"{summary['redriven']} {'would be ' if dry_run else ''}put back, {len(summary['left'])} left",
    )  # fmt: skip
    if summary["left"]:
        raise typer.Exit(exits.FAILED)


async def _letters(topic: str | None, from_: str, reason: str) -> list[DeadLettered]:
    """The first of each id, in order of arrival within a partition, then by time."""
    from evenhand.client.subscribe import subscribe_async
    from evenhand.topics import DEAD_LETTERS

    found: dict[str, DeadLettered] = {}
    async for event in subscribe_async(DEAD_LETTERS, from_=from_, follow=False):
        if isinstance(event, DeadLettered) and topic in (None, event.topic) and reason in event.reason:
            found.setdefault(event.id, event)
    return sorted(found.values(), key=lambda each: (each.time, each.topic, each.partition, each.offset))


async def _redrive(ids: list[str] | None, topic: str | None, from_: str, reason: str, dry_run: bool) -> dict[str, Any]:
    from evenhand.cli.loop import open_log
    from evenhand.client.produce import Producer, place
    from evenhand.errors import InvalidConfiguration

    letters = await _letters(topic, from_, reason)
    if ids:
        if unknown := sorted(set(ids) - {each.id for each in letters}):
            raise InvalidConfiguration(f"there is no dead letter {unknown[0]}: `evenhand dead-letters list` shows them")
        letters = [each for each in letters if each.id in ids]
    summary: dict[str, Any] = {"redriven": 0, "left": []}
    async with open_log() as (settings, reader), Producer(settings) as producer:
        for letter in letters:
            record = await _source(settings, reader, letter)
            value = record.value if record is not None else _kept(letter)
            problem = _problem(letter, value)
            if problem:
                summary["left"].append({"id": letter.id, "reason": problem})
                note(f"{letter.id} is left: {problem}")
                continue
            if not dry_run:
                key = record.key if record is not None else None
                headers = [] if record is None else [pair for pair in record.headers if pair[0] != REDRIVEN]
                headers = [*headers, (REDRIVEN, letter.id.encode())]
                await place(await producer.enqueue_raw(letter.topic, key, value, headers))
            summary["redriven"] += 1
    return summary


async def _source(settings: "KafkaSettings", reader: "LogReader", letter: DeadLettered) -> "ConsumerRecord | None":
    """The record that the letter is about, if its topic still has it."""
    from aiokafka.structs import TopicPartition

    from evenhand.codec import digest

    place = TopicPartition(settings.topic(letter.topic), letter.partition)
    begins, ends = await reader.beginnings([place]), await reader.ends([place])
    if not begins[place] <= letter.offset < ends[place]:
        return None
    async with contextlib.aclosing(reader.read({place: letter.offset}, {place: letter.offset + 1})) as records:
        async for record in records:
            if digest(record.value or b"") == letter.digest:
                return record
    return None


def _kept(letter: DeadLettered) -> bytes | None:
    """What the letter itself has kept, if that is all of it."""
    kept = base64.b64decode(letter.payload_base64) if letter.payload_base64 else letter.payload.encode()
    return kept if len(kept) == letter.length else None


def _problem(letter: DeadLettered, value: bytes | None) -> str:
    from evenhand.client.produce import check_sendable
    from evenhand.codec import decode
    from evenhand.errors import InvalidEvent

    if value is None:
        return (
            f"{letter.topic}[{letter.partition}] no longer has offset {letter.offset}, and the letter kept only a part"
        )
    try:
        check_sendable(letter.topic, decode(letter.topic, value))
    except InvalidEvent as error:
        return str(error)
    return ""
