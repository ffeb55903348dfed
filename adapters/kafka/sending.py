"""Sends rows to one partition with one future a produce batch, several times as fast as one a record."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from aiokafka.record.default_records import DefaultRecordBatchBuilder

from adapters.kafka import failpoints
from adapters.kafka.delivery import Batch, Fenced
from adapters.kafka.ending import FAILED, end_process
from evenhand.errors import EvenhandError

if TYPE_CHECKING:
    from aiokafka.producer.message_accumulator import BatchBuilder

    from adapters.kafka.app import BatchApp

Row = tuple[bytes | None, bytes | None, list[tuple[str, bytes]]]
Rows = Iterable[Row]
BATCH_HEADER_BYTES = 61
UNKNOWN = -1  # offset of a batch that the broker says it has already
estimate = DefaultRecordBatchBuilder.estimate_size_in_bytes


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
    outbox = app.outboxes.get((topic, partition))
    if outbox is None:
        outbox = app.outboxes[topic, partition] = Outbox(app, topic, partition)
    parcel = Parcel(checked(app, topic, partition, rows), batch)
    return await outbox.send(parcel) if parcel.rows else (UNKNOWN, UNKNOWN)


def checked(app: BatchApp, topic: str, partition: int, rows: Rows) -> Sequence[Row]:
    """These rows, if each fits in a record batch: one alone in a batch would be taken, and fail when sent."""
    rows, limit = list(rows), app.timing.max_batch_bytes
    for key, value, headers in rows:
        size = BATCH_HEADER_BYTES + estimate(key, value, headers)
        if size > limit:
            raise TooLarge(topic, partition, size, limit)
    return rows


class Parcel:
    """Rows of one sender, which stay in order: how many are in produce batches, and the offsets of the acknowledged."""

    __slots__ = ("batch", "done", "first", "packed", "rows")

    def __init__(self, rows: Sequence[Row], batch: Batch | None) -> None:
        self.rows, self.batch, self.packed, self.first = rows, batch, 0, UNKNOWN
        self.done: asyncio.Future[tuple[int, int]] = asyncio.get_running_loop().create_future()

    def may_go(self) -> bool:
        """Whether its sender still waits and owns what it sends for."""
        if not self.done.done() and self.batch is not None:
            try:
                self.batch.check()
            except Fenced as fence:
                self.done.set_exception(fence)
        return not self.done.done()

    def pack(self, builder: BatchBuilder) -> bool:
        """Put in what fits; whether that was all."""
        append, rows = builder.append, self.rows
        while self.packed < len(rows):
            key, value, headers = rows[self.packed]
            if append(timestamp=None, key=key, value=value, headers=headers) is None:
                return False
            self.packed += 1
        return True

    def note_ack(self, first: int, count: int) -> None:
        """So many of its rows lie from an offset on."""
        self.first = first if self.first == UNKNOWN else self.first
        if self.packed == len(self.rows) and not self.done.done():
            self.done.set_result((self.first, UNKNOWN if first == UNKNOWN else first + count - 1))


class Outbox:
    """What is to be sent to one partition: one produce batch at a time, and what comes meanwhile shares the next one.

    So many tasks that send to a partition cost as few batches as one would, each in its turn, and every batch finds the
    client's own queue of the partition empty. (Tasks that queue there run out of its 30 s within two: at each wake-up
    it takes all the time since the start from what is left.)
    """

    def __init__(self, app: BatchApp, topic: str, partition: int) -> None:
        self._app, self._topic, self._partition = app, topic, partition
        self._waiting: deque[Parcel] = deque()
        self._task: asyncio.Task[None] | None = None

    async def send(self, parcel: Parcel) -> tuple[int, int]:
        """Send rows behind what waits already; the first and the last offset."""
        self._waiting.append(parcel)
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run(), name=f"{self._topic}[{self._partition}]")
        return await parcel.done

    async def _run(self) -> None:
        packed: list[tuple[Parcel, int, int]] = []
        try:
            while self._waiting:
                builder, packed = self._pack()
                if packed:
                    readers = {parcel.batch.reader for parcel, _, _ in packed if parcel.batch is not None}
                    offset = await ship(self._app, self._topic, self._partition, builder, "after_send", *readers)
                    for parcel, start, count in packed:
                        parcel.note_ack(UNKNOWN if offset == UNKNOWN else offset + start, count)
        except BaseException as exc:  # noqa: BLE001  whoever waits gets it
            for parcel in [*(parcel for parcel, _, _ in packed), *self._waiting]:
                if not parcel.done.done():
                    parcel.done.set_exception(exc)
            self._waiting.clear()
        finally:
            self._task = None

    def _pack(self) -> tuple[BatchBuilder, list[tuple[Parcel, int, int]]]:
        """The next produce batch, and of whom it holds rows: from which place in it, how many."""
        builder = self._app.kafka_producer().create_batch()
        packed: list[tuple[Parcel, int, int]] = []
        is_full = False
        while self._waiting and not is_full:
            parcel = self._waiting[0]
            if parcel.may_go():
                start = builder.record_count()
                is_full = not parcel.pack(builder)
                if builder.record_count() > start:
                    packed.append((parcel, start, builder.record_count() - start))
            if not is_full:
                self._waiting.popleft()
        builder.close()
        return builder, packed


def build(app: BatchApp, topic: str, partition: int, rows: Rows) -> list[BatchBuilder]:
    """Produce batches with these rows, as few as their size allows."""
    parcel, builders, is_whole = Parcel(checked(app, topic, partition, rows), None), [], False
    while not is_whole:
        builders.append(app.kafka_producer().create_batch())
        is_whole = parcel.pack(builders[-1])
        builders[-1].close()
    return builders


async def ship(
    app: BatchApp, topic: str, partition: int, builder: BatchBuilder, failpoint: str = "", *readers: str
) -> int:
    """Send one produce batch and return its first offset."""
    try:
        async with asyncio.timeout(app.timing.send_timeout_s):
            ack = await app.kafka_producer().send_batch(builder, app.kafka.topic(topic), partition=partition)
            for reader in readers:
                await failpoints.reach(failpoint, reader)
            offset: int = (await ack).offset
    except TimeoutError as exc:
        end_process(FAILED, f"{topic}[{partition}]: no ack of a send within {app.timing.send_timeout_s:g} s", exc)
    except Exception as exc:  # noqa: BLE001  whatever it was, nothing that follows may be written
        end_process(FAILED, f"{topic}[{partition}]: a send failed: {type(exc).__name__}: {exc}", exc)
    return offset
