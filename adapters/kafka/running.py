"""Runs a processor on the transport: skip what was applied, compute, send, await, write the state, await, done."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from adapters.kafka import failpoints
from adapters.kafka.lanes import MAX_RECORDS, cut
from adapters.kafka.reading import reads as register
from adapters.kafka.sending import send_rows
from adapters.kafka.state import Held, PartitionState

if TYPE_CHECKING:
    from adapters.kafka.app import BatchApp
    from adapters.kafka.delivery import Batch
    from evenhand.processors.base import Output, Processor, Record

SLICE_BYTES = 768 << 10  # of input; what a slice changes must fit in one record batch


def run(
    app: BatchApp,
    make_processor: Callable[[int, int], Processor],
    *,
    name: str,
    reads: tuple[str, ...],
    max_slice_bytes: int = SLICE_BYTES,
) -> PartitionState:
    """Register a processor as an agent. `make_processor(partition, partitions)` makes an empty one."""
    state = PartitionState(app, name, lambda partition: make_processor(partition, app.kafka.partitions))

    @register(app, *reads, name=name)
    async def work(batch: Batch) -> None:
        try:
            await _process(state, batch, max_slice_bytes)
        except BaseException:
            state.drop(batch.partition)  # the processor may be half changed
            raise

    return state


async def _process(state: PartitionState, batch: Batch, max_slice_bytes: int) -> None:
    held = await state.of(batch)
    records, applied = batch.records, held.position.get(batch.topic, -1)
    if records[0].offset <= applied:
        records = list(itertools.dropwhile(lambda record: record.offset <= applied, records))
        if not records:
            return
    if len(records) <= MAX_RECORDS and batch.size <= max_slice_bytes:
        await _apply(state, batch, records)
        return
    for part, _ in cut(records, MAX_RECORDS, max_slice_bytes):
        await _apply(state, batch, part)


async def _apply(state: PartitionState, batch: Batch, part: Sequence[Record]) -> None:
    """Apply records at once if the state that they change fits in one record batch, else one half after the other."""
    held = await state.of(batch)
    output = held.processor.apply(batch.topic, part)
    if len(part) > 1 and not state.fits(output.rows):
        state.drop(batch.partition)  # nothing was sent: loaded anew, it has not seen them
        middle = len(part) // 2
        await _apply(state, batch, part[:middle])
        await _apply(state, batch, part[middle:])
        return
    await failpoints.reach("after_decode", batch.reader)
    await _finish(state, batch, held, output, part[-1].offset)


async def _finish(state: PartitionState, batch: Batch, held: Held, output: Output, last_offset: int) -> None:
    if output.sends:
        batch.check()
        await asyncio.gather(*(send_rows(batch, *target, rows) for target, rows in output.sends.items()))
    await failpoints.reach("after_ack", batch.reader)
    await state.put(batch, held, output.rows, batch.topic, last_offset)
