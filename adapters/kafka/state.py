"""State of an agent: a processor for each partition, whose rows and position are written in one record batch.

Kafka appends a record batch whole or not at all, so state and position cannot part. What the position says has been
applied is skipped when it comes again, and sends nothing: its outputs were acknowledged before the state was.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

from adapters.kafka import failpoints
from adapters.kafka.changelog import OWN, OWNER, Changelog, Loaded, StateError, Term, corrupt, framed, position_row
from adapters.kafka.sending import UNKNOWN, build, ship
from evenhand.topics import state_topic

if TYPE_CHECKING:
    from adapters.kafka.app import BatchApp
    from adapters.kafka.delivery import Batch
    from evenhand.processors.base import Processor

log = logging.getLogger(__name__)


class Held:
    """A processor and what it has applied, as the owner of a term."""

    __slots__ = ("next_offset", "position", "processor", "term")

    def __init__(self, processor: Processor, position: dict[str, int], term: Term, next_offset: int) -> None:
        self.processor, self.position, self.term, self.next_offset = processor, position, term, next_offset


class PartitionState:
    """The partitions of one agent that this worker holds."""

    def __init__(self, app: BatchApp, name: str, make: Callable[[int], Processor]) -> None:
        self.app, self.name, self._make = app, name, make
        self.topic = state_topic(name).name
        self._held: dict[int, Held] = {}
        self._changelog = Changelog(app.kafka, app.timing)
        self.loads = self.ignored = self.mended = 0

    async def of(self, batch: Batch) -> Held:
        """The partition's processor, loaded at the first batch after an assignment.

        A processor that was here in the generation just before is kept: nobody else can have owned the partition.
        """
        held = self._held.get(batch.partition)
        if held is not None and held.term.generation == batch.generation:
            return held
        if held is not None and held.term.generation + 1 == batch.generation:
            held.term = Term(held.term.epoch, batch.generation)
            await self._write(batch, held, [(OWNER, b"")])
            return held
        self._held.pop(batch.partition, None)
        held = await self._load(batch)
        self._held[batch.partition] = held
        return held

    async def put(
        self, batch: Batch, held: Held, rows: Mapping[bytes, bytes | None], topic: str, last_offset: int
    ) -> None:
        """Write rows (None deletes) with the position, whole or not at all, and wait."""
        position = {**held.position, topic: last_offset}
        await self._write(batch, held, [*rows.items(), position_row(position)])
        held.position = position

    def drop(self, partition: int) -> None:
        """Forget a processor that may be half changed: it is loaded anew."""
        self._held.pop(partition, None)

    async def _write(self, batch: Batch, held: Held, rows: list[tuple[bytes, bytes | None]]) -> None:
        builders = build(self.app, self.topic, batch.partition, framed(rows, held.term))
        if len(builders) > 1:
            size = sum(builder.size() for builder in builders)
            raise StateError(
                f"{self.name}: {len(rows)} rows of one slice for {self.topic}[{batch.partition}] take {size} bytes, and "
                f"must fit in one record batch of {self.app.timing.max_batch_bytes}: its rows are too large"
            )
        batch.check()
        first = await ship(self.app, self.topic, batch.partition, builders[0])
        if first == UNKNOWN:  # repeated by the client, and the broker no longer knows where: mend as far as the next
            return
        expected, held.next_offset = held.next_offset, first + len(rows)
        if first != expected:
            await self._mend(batch, held, expected, first)

    async def _mend(self, batch: Batch, held: Held, start: int, end: int) -> None:
        """Write again every key that somebody else wrote between our own rows.

        Readers ignore those rows, but compaction would keep them and drop ours that stand before them.
        """
        keys = {
            record.key
            async for record in self._changelog.read(self.topic, batch.partition, start, end)
            if record.key is not None and not record.key.startswith(OWN)
        }
        self.mended += 1
        log.warning(
            "%s[%d]: %d keys between offsets %d and %d are not ours", self.topic, batch.partition, len(keys), start, end
        )
        if not keys:
            return
        mended: dict[bytes, bytes | None] = dict.fromkeys(sorted(keys))
        mended.update((key, value) for key, value in held.processor.rows() if key in keys)
        for builder in build(self.app, self.topic, batch.partition, framed(mended.items(), held.term)):
            batch.check()
            first = await ship(self.app, self.topic, batch.partition, builder)
            if first != UNKNOWN:
                held.next_offset = first + builder.record_count()

    async def _load(self, batch: Batch) -> Held:
        partition = batch.partition
        term = Term(0, batch.generation)
        end = await self._own(batch, term)
        loaded = await self._changelog.load(self.topic, partition, end)
        if loaded.term > term:
            # The group's generations began again (it was deleted, or forgotten after days without members). A commit
            # that the broker accepts proves that this is not a worker of the past.
            await self.app.consumer.confirm_membership()
            term = Term(loaded.term.epoch + 1, batch.generation)
            end = await self._own(batch, term)
            loaded = await self._changelog.load(self.topic, partition, end)
            if loaded.term > term:
                raise StateError(f"{self.topic}[{partition}]: two groups write here ({loaded.term} after {term})")
        self.ignored += loaded.ignored
        self.loads += 1
        processor = self._make(partition)
        processor.load(self._rows(partition, loaded))
        return Held(processor, loaded.position, term, end)

    async def _own(self, batch: Batch, term: Term) -> int:
        """Append an owner record and return the offset after it."""
        for _ in range(3):
            batch.check()
            builder = build(self.app, self.topic, batch.partition, framed([(OWNER, b"")], term))[0]
            first = await ship(self.app, self.topic, batch.partition, builder)
            if first != UNKNOWN:
                return first + 1
        raise StateError(f"{self.topic}[{batch.partition}]: the broker does not say where it wrote")

    def _rows(self, partition: int, loaded: Loaded) -> Iterator[tuple[bytes, bytes]]:
        """All rows; whatever the processor cannot take is named by its offset."""
        for key, (value, offset) in loaded.rows.items():
            try:
                yield key, value
            except GeneratorExit:
                raise
            except BaseException as exc:
                raise corrupt(self.topic, partition, offset, exc) from exc
