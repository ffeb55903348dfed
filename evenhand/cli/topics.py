"""`evenhand topics`: list, create, describe, export."""

import asyncio
from pathlib import Path
from typing import Annotated, Any

import typer

from evenhand.cli.output import Json, note, result, table

group = typer.Typer(
    name="topics", help="The topics, what they hold, and how far their readers are.", no_args_is_help=True
)


def register(app: typer.Typer) -> None:
    """Add the group."""
    app.add_typer(group)


@group.command("list")
def list_topics(json: Json = False) -> None:
    """Every topic with its partitions, records, the records that wait to be read, and who writes and reads it."""
    rows = asyncio.run(_listed())
    result(
        rows, json,
        lambda: table(
            ["topic", "partitions", "records", "lag", "key", "written by", "read by"],
            [
                [row["topic"], row["partitions"], row["records"], row["lag"], row["key"],
                 ", ".join(row["written_by"]), ", ".join(row["read_by"])]
                for row in rows
            ],
        ),
    )  # fmt: skip


@group.command()
def create(json: Json = False) -> None:
    """Create the topics that are missing, and check those that exist."""
    from evenhand.client.connection import kafka_settings

    settings = kafka_settings()
    from adapters.kafka.topics import ensure_topics
    from evenhand.cli.loop import declared_topics

    every = declared_topics()
    created = asyncio.run(ensure_topics(settings, every))
    result(
        {"created": created, "checked": len(every)}, json,
        lambda: f"{len(created)} topics created, {len(every)} checked: all are as they must be",
    )  # fmt: skip


@group.command()
def describe(topic: Annotated[str, typer.Argument(help="Such as outcomes.v1")], json: Json = False) -> None:
    """One topic, partition by partition: where it begins and ends, and how far its readers have come."""
    rows = asyncio.run(_described(topic))
    result(
        rows, json,
        lambda: table(
            ["partition", "first", "end", "committed", "lag"],
            [[row["partition"], row["first"], row["end"], row["committed"], row["lag"]] for row in rows],
        ),
    )  # fmt: skip


@group.command()
def export(
    folder: Annotated[Path, typer.Argument(help="A folder that is new or empty.")],
    topic: Annotated[list[str] | None, typer.Option("--topic", help="Only this one; may be repeated.")] = None,
    json: Json = False,
) -> None:
    """Write what the topics hold now into a folder, byte for byte: `evenhand replay --log FOLDER` plays it again."""
    contents = asyncio.run(_export(folder, topic))
    total = sum(map(sum, contents.topics.values()))
    counts = {name: sum(each) for name, each in contents.topics.items()}
    result(
        {"folder": str(folder), "records": total, "topics": counts},
        json, lambda: f"{total} records of {len(contents.topics)} topics are in {folder}",
    )  # fmt: skip


async def _listed() -> list[dict[str, Any]]:
    from evenhand.client.connection import kafka_settings

    settings = kafka_settings()
    from adapters.kafka.log_reader import log_reader
    from adapters.loop_state import progress
    from evenhand.topics import every_topic

    async with log_reader(settings) as reader:
        waiting: dict[str, int] = {}
        for place, each in (await progress(settings, reader)).items():
            waiting[place.topic] = waiting.get(place.topic, 0) + each.lag
        every = await reader.places(*(topic.name for topic in every_topic()))
        begins, ends = await reader.beginnings(every), await reader.ends(every)
        rows = []
        for topic in every_topic():
            full = settings.topic(topic.name)
            places = [place for place in every if place.topic == full]
            rows.append(
                {
                    "topic": full, "partitions": len(places),
                    "records": sum(ends[place] - begins[place] for place in places), "lag": waiting.get(full),
                    "key": topic.key, "written_by": list(topic.written_by), "read_by": list(topic.read_by),
                    "description": topic.description,
                }
            )  # fmt: skip
        return rows


async def _described(topic: str) -> list[dict[str, Any]]:
    from evenhand.client.connection import kafka_settings

    settings = kafka_settings()
    from adapters.kafka.log_reader import committed, log_reader
    from adapters.loop_state import group as reading_group

    async with log_reader(settings) as reader:
        places = await reader.places(topic)
        begins, ends = await reader.beginnings(places), await reader.ends(places)
        done = await committed(settings, reading_group(settings), places)
    return [
        {
            "partition": place.partition, "first": begins[place], "end": ends[place], "committed": done.get(place),
            "lag": ends[place] - done[place] if place in done else None,
        }
        for place in places
    ]  # fmt: skip


async def _export(folder: Path, topics: list[str] | None) -> Any:
    from evenhand.client.connection import kafka_settings

    settings = kafka_settings()
    from adapters.clock import now_ms
    from adapters.exports import write_export
    from adapters.kafka.log_reader import log_reader
    from evenhand.topics import TOPICS

    async with log_reader(settings) as reader:
        names = topics or list(TOPICS)
        note(f"exporting {len(names)} topics")
        return await write_export(settings, reader, folder, names, now_ms())
