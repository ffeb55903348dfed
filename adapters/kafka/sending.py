"""Sends rows to one partition with one future a produce batch, several times as fast as one a record."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from aiokafka.record.default_records import DefaultRecordBatchBuilder

from adapters.kafka import failpoints
from adapters.kafka.delivery import Batch
from adapters.kafka.ending import FAILED, end_process
from evenhand.errors import EvenhandError

if TYPE_CHECKING:
    from aiokafka.producer.message_accumulator import BatchBuilder

    from adapters.kafka.app import BatchApp

Rows = Iterable[tuple[bytes | None, bytes | None, list[tuple[str, bytes]]]]
BATCH_HEADER_BYTES = 61
UNKNOWN = -1  # offset of a batch that the broker says it has already


class TooLarge(EvenhandError):
    """A row does not fit in a record batch. Whoever makes rows keeps to the limit, or dead-letters the cause."""

    def __init__(self, topic: str, partition: int, size: int, limit: int) -> None:
        super().__init__(f"a row of {size} bytes for {topic}[{partition}] is over the limit of {limit} bytes")
        self.topic, self.partition, self.size, self.limit = topic, partition, size, limit


async def send_rows(target: Batch | BatchApp, topic: str, partition: int, rows: Rows) -> tuple[int, int]:
    """Send (key, value, headers) rows in order to a partition of a topic (bare name), and wait for the acks.

    Returns the first and the last offset. A next produce batch goes out only after the ack of the one before. All
    sizes are checked before the first is sent. A send that fails ends the process: the source batch comes again.
    """
    batch = target if isinstance(target, Batch) else None
    app = target.app if isinstance(target, Batch) else target
    first = last = UNKNOWN
    for builder in build(app, topic, partition, rows):
        if batch is not None:
            batch.check()
        offset = await ship(app, topic, partition, builder, batch.reader if batch is not None else "", "after_send")
        first = offset if first == UNKNOWN else first
        last = UNKNOWN if offset == UNKNOWN else offset + builder.record_count() - 1
    return first, last


def build(app: BatchApp, topic: str, partition: int, rows: Rows) -> list[BatchBuilder]:
    """Produce batches with these rows, as few as their size allows."""
    create = app.kafka_producer().create_batch
    builders: list[BatchBuilder] = []
    append: Any = None
    for key, value, headers in rows:
        if append is not None and append(timestamp=None, key=key, value=value, headers=headers) is not None:
            continue
        size = BATCH_HEADER_BYTES + DefaultRecordBatchBuilder.estimate_size_in_bytes(key, value, headers)
        if size > app.timing.max_batch_bytes:  # a first record of any size would be taken, and fail when sent
            raise TooLarge(topic, partition, size, app.timing.max_batch_bytes)
        builder = create()
        builders.append(builder)
        append = builder.append
        append(timestamp=None, key=key, value=value, headers=headers)
    for builder in builders:
        builder.close()
    return builders


async def ship(
    app: BatchApp, topic: str, partition: int, builder: BatchBuilder, reader: str = "", failpoint: str = ""
) -> int:
    """Send one produce batch and return its first offset."""
    try:
        async with asyncio.timeout(app.timing.send_timeout_s):
            ack = await app.kafka_producer().send_batch(builder, app.kafka.topic(topic), partition=partition)
            if failpoint:
                await failpoints.reach(failpoint, reader)
            offset: int = (await ack).offset
    except TimeoutError as exc:
        end_process(FAILED, f"{topic}[{partition}]: no ack of a send within {app.timing.send_timeout_s:g} s", exc)
    except Exception as exc:  # noqa: BLE001  whatever it was, nothing that follows may be written
        end_process(FAILED, f"{topic}[{partition}]: a send failed: {type(exc).__name__}: {exc}", exc)
    return offset
