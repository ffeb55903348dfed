"""The examples: payloads that were accepted once and must be for ever."""

from collections.abc import Iterator
from pathlib import Path

import msgspec

from evenhand.codec import decode
from evenhand.errors import InvalidEvent
from evenhand.events import Event
from evenhand.topics import TOPICS
from schemas import EXAMPLES


def examples() -> Iterator[tuple[str, Path]]:
    """Name of the event and path of each example."""
    for path in sorted(EXAMPLES.glob("*/*.json")):
        yield path.parent.name, path


def rejected() -> Iterator[str]:
    """What is wrong with the examples, one line each."""
    for name, path in examples():
        topics = [topic.name for topic in TOPICS.values() if name in {event.__name__ for event in topic.events}]
        if not topics:
            yield f"schemas/examples/{name}/{path.name}: no topic carries {name}"
        for topic in topics:
            try:
                event: Event = decode(topic, path.read_bytes())
            except InvalidEvent as error:
                yield f"schemas/examples/{name}/{path.name}: {error}"
                break
            if type(event).__name__ != name:
                yield f"schemas/examples/{name}/{path.name} is a {type(event).__name__}"
            if strange := sorted(_unknown(path, event)):
                yield f"schemas/examples/{name}/{path.name}: {', '.join(strange)} would be ignored"


def _unknown(path: Path, event: Event) -> Iterator[str]:
    """Fields that the event does not have; `x_...` is free for whoever wants more."""
    for field in msgspec.json.decode(path.read_bytes(), type=dict[str, msgspec.Raw]):
        if field not in {"type", *event.__struct_fields__} and not field.startswith("x_"):
            yield field
