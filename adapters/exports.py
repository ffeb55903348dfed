"""Topics as a folder of text files, byte for byte: for a replay somewhere else, for an audit, for a bug report.

`FOLDER/export.json` says what there is; `FOLDER/TOPIC/PARTITION.ndjson` has one record a line, in order:
`{"offset": 0, "timestamp": 1542153600000, "key": "BTC-USD", "value": "{...}", "headers": [["ce_id", "r-1"]]}`.
Bytes that are not UTF-8 stand as `{"base64": "..."}`, and none at all as null.
"""

import base64
import binascii
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import IO, NamedTuple

import msgspec
from aiokafka.structs import TopicPartition

from adapters.kafka.log_reader import LogReader
from adapters.kafka.settings import KafkaSettings
from evenhand.errors import EvenhandError

CONTENTS = "export.json"
FORMAT = 1


class Base64(msgspec.Struct):
    """Bytes that are no text."""

    base64: str


Text = str | Base64 | None


class Line(msgspec.Struct):
    """One record as it stands in a file."""

    offset: int
    timestamp: int
    key: Text
    value: Text
    headers: list[tuple[str, Text]]


class Contents(msgspec.Struct):
    """What an export holds: for each topic (bare name) the number of records of each partition."""

    format: int
    exported_at: int
    prefix: str
    topics: dict[str, list[int]]


class ExportedRecord(NamedTuple):
    """A record as it was in the topic."""

    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]]


async def write_export(
    settings: KafkaSettings, reader: LogReader, folder: Path, topics: Sequence[str], exported_at: int
) -> Contents:
    """Write what the topics hold now into a folder that is new or empty."""
    _check_empty(folder)
    places = await reader.places(*topics)
    contents = Contents(FORMAT, exported_at, settings.topic_prefix, {topic: [] for topic in topics})
    counts = dict.fromkeys(places, 0)
    with ExitStack() as stack:
        files: dict[TopicPartition, IO[bytes]] = {}
        for place in places:
            path = folder / settings.bare(place.topic) / f"{place.partition}.ndjson"
            path.parent.mkdir(parents=True, exist_ok=True)
            files[place] = stack.enter_context(path.open("wb"))
        async for record in reader.read(await reader.beginnings(places), await reader.ends(places)):
            place = TopicPartition(record.topic, record.partition)
            headers = [(name, _text(value)) for name, value in record.headers]
            line = Line(record.offset, record.timestamp, _text(record.key), _text(record.value), headers)
            files[place].write(msgspec.json.encode(line) + b"\n")
            counts[place] += 1
    for place in places:
        contents.topics[settings.bare(place.topic)].append(counts[place])
    (folder / CONTENTS).write_bytes(msgspec.json.format(msgspec.json.encode(contents), indent=1))
    return contents


def _check_empty(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        is_empty = not any(folder.iterdir())
    except OSError as error:
        raise EvenhandError(f"{folder} cannot be made ({error.strerror}): name a new folder") from error
    if not is_empty:
        raise EvenhandError(f"{folder} is not empty: name a new folder")


def read_contents(folder: Path) -> Contents:
    """What an export holds. Raises if the folder is none, or a part of it is missing."""
    path = folder / CONTENTS
    try:
        contents = msgspec.json.decode(path.read_bytes(), type=Contents)
    except OSError as error:
        raise EvenhandError(
            f"{folder} is no export: {path} cannot be read ({error.strerror}); make one with `evenhand topics export`"
        ) from error
    except msgspec.DecodeError as error:
        raise EvenhandError(f"{path} is damaged: {error}") from error
    if contents.format != FORMAT:
        raise EvenhandError(f"{path} has format {contents.format}, this version reads {FORMAT}: export again")
    return contents


def read_export(folder: Path, topic: str, partition: int) -> Iterator[ExportedRecord]:
    """The records of one partition, in order."""
    path = folder / topic / f"{partition}.ndjson"
    decode = msgspec.json.Decoder(Line).decode
    try:
        opened = path.open("rb")
    except OSError as error:
        raise EvenhandError(f"{path} cannot be read ({error.strerror}): export again") from error
    with opened as file:
        for number, raw in enumerate(file, 1):
            try:
                line = decode(raw)
                headers = [(name, _bytes(value) or b"") for name, value in line.headers]
                yield ExportedRecord(line.offset, line.timestamp, _bytes(line.key), _bytes(line.value), headers)
            except (msgspec.DecodeError, binascii.Error) as error:
                raise EvenhandError(f"{path}, line {number}: {error}: export again") from error


def _text(raw: bytes | None) -> Text:
    if raw is None:
        return None
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return Base64(base64.b64encode(raw).decode())


def _bytes(text: Text) -> bytes | None:
    if isinstance(text, Base64):
        return base64.b64decode(text.base64, validate=True)
    return None if text is None else text.encode()
