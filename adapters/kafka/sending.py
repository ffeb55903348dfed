"""Sends rows to one partition with one future a produce batch, several times as fast as one a record."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from aiokafka.record.default_records import DefaultRecordBatchBuilder

from adapters.kafka import failpoints
from adapters.kafka.delivery import Batch
from adapters.kafka.ending import FAILED, end_process
from evenhand.errors import EvenhandError

if TYPE_CHECKING:
    from adapters.kafka.app import BatchApp

Rows = Iterable[tuple[bytes | None, bytes | None, Sequence[tuple[str, bytes]]]]
HEADER_BYTES = 61  # of a record batch
UNKNOWN = -1  # offset of a batch that the broker says it had already


class TooLarge(EvenhandError):
    """A row does not fit in a record batch. Whoever makes rows must keep to the limit, or dead-letter the cause."""

    def __init__(self, topic: str, partition: int, size: int, limit: int) -> None:
        super().__init__(f"a row of {size} bytes for {topic}[{partition}] is over the limit of {limit} bytes")
        self.topic, self.partition, self.size, self.limit = topic, partition, size, limit


async def send_rows(target: Batch | BatchApp, topic: str, partition: int, rows: Rows) -> tuple[int, int]:
    """Send (key, value, headers) rows in order to a partition of a topic (bare name), and wait for the acks.

    Returns the first and the last offset. A next produce batch goes out only after the ack of the one before. All
    sizes are checked before the first is sent. A send that fails ends the process: the batch comes again.
    """
    app = target.app if isinstance(target, Batch) else target
    builders = build(app, topic, partition, rows)
    first = last = UNKNOWN
    for builder in builders:
        if isinstance(target, Batch):
            target.check()
        offset = await ship(app, topic, partition, builder, target.reader if isinstance(target, Batch) else "")
        if first == UNKNOWN:
            first = offset
        last = UNKNOWN if offset == UNKNOWN else offset + builder.record_count() - 1
    return first, last


def build(app: BatchApp, topic: str, partition: int, rows: Rows) -> list[Any]:
    """Produce batches with these rows, as few as their size allows."""
    create = app.producer._ensure_producer().create_batch  # noqa: SLF001 - Faust has no public way to it
    builders: list[Any] = []
    append = None
    for key, value, headers in rows:
        if append is not None and append(timestamp=None, key=key, value=value, headers=headers) is not None:
            continue
        size = HEADER_BYTES + DefaultRecordBatchBuilder.estimate_size_in_bytes(key, value, headers)
        if size > app.timing.max_batch_bytes:  # a first record of any size would be taken, and fail when sent
            raise TooLarge(topic, partition, size, app.timing.max_batch_bytes)
        builder = create()
        builders.append(builder)
        append = builder.append
        append(timestamp=None, key=key, value=value, headers=headers)
    for builder in builders:
        builder.close()
    return builders


async def ship(app: BatchApp, topic: str, partition: int, builder: Any, reader: str = "") -> int:
    """Send one produce batch and return its first offset."""
    producer = app.producer._ensure_producer()  # noqa: SLF001
    try:
        async with asyncio.timeout(app.timing.send_timeout_s):
            ack = await producer.send_batch(builder, app.kafka.topic(topic), partition=partition)
            await failpoints.reach("after_send", reader)
            offset: int = (await ack).offset
    except failpoints.FailpointReached:
        raise
    except TimeoutError as exc:
        end_process(FAILED, f"no ack from {topic}[{partition}] within {app.timing.send_timeout_s} s", exc)
    except Exception as exc:  # noqa: BLE001 - whatever it was, what follows must not be written
        end_process(FAILED, f"send to {topic}[{partition}] failed: {type(exc).__name__}: {exc}", exc)
    return offset
