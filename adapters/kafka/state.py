"""State of an agent: a processor for each partition, whose rows and position are written in one record batch.

Kafka appends a record batch whole or not at all, so state and position cannot part. What the position says has been
applied is skipped when it comes again, and sends nothing: its outputs were acknowledged before the state was.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

from adapters.kafka import failpoints
from adapters.kafka.changelog import Changelog, Loaded
from adapters.kafka.rows import OURS, OWNER, StateError, Term, corrupt, framed, position_row
from adapters.kafka.sending import UNKNOWN, build, ship
from evenhand.topics import state_topic

if TYPE_CHECKING:
    from aiokafka import ConsumerRecord

    from adapters.kafka.app import BatchApp
    from adapters.kafka.delivery import Batch
    from evenhand.processors.base import Processor

ROW_BYTES = 64  # at most, of a row beside its key and value
RESERVE_BYTES = 4096  # of a record batch, for its header and the position row
log = logging.getLogger(__name__)


class Held:
    """A processor and what it has applied, under the term of its owner.

    `next_offset` is where our next row belongs if nobody else writes.
    """

    __slots__ = ("next_offset", "position", "processor", "term")

    def __init__(self, processor: Processor, position: dict[str, int], term: Term, next_offset: int) -> None:
        self.processor, self.position, self.term, self.next_offset = processor, position, term, next_offset


class PartitionState:
    """The partitions of one agent that this worker holds."""

    def __init__(self, app: BatchApp, name: str, load: Callable[[int], Processor]) -> None:
        self.app, self.name, self._make = app, name, load
        self.topic = state_topic(name).name
        self.loads = self.ignored = self.mended = 0
        self._held: dict[int, Held] = {}
        self._changelog = Changelog(app.kafka, app.timing)
        app.at_end.append(self._changelog.close)

    async def of(self, batch: Batch) -> Held:
        """The partition's processor, loaded at the first batch after an assignment.

        One that was here in the generation just before is kept: nobody else can have owned the partition.
        """
        held = self._held.get(batch.partition)
        if held is not None and held.term.generation == batch.generation:
            return held
        if held is not None and held.term.generation + 1 == batch.generation:
            held.term = Term(held.term.epoch, batch.generation)
            await self._write(batch, held, [(OWNER, b"")])
            return held
        self.drop(batch.partition)
        held = await self._load(batch)
        self._held[batch.partition] = held
        return held

    def fits(self, rows: Mapping[bytes, bytes | None]) -> bool:
        """Whether rows can be written in one record batch."""
        size = sum(len(key) + len(value or b"") + ROW_BYTES for key, value in rows.items())
        return size + RESERVE_BYTES <= self.app.timing.max_batch_bytes

    async def put(
        self, batch: Batch, held: Held, rows: Mapping[bytes, bytes | None], topic: str, last_offset: int
    ) -> None:
        """Write rows (None deletes) with the position, whole or not at all, and wait."""
        position = {**held.position, topic: last_offset}
        await self._write(batch, held, [*rows.items(), position_row(position)])
        held.position = position
        await failpoints.reach("after_changelog_ack", self.name)

    def drop(self, partition: int) -> None:
        """Forget a processor that may be half changed: it is loaded anew."""
        self._held.pop(partition, None)

    async def _write(self, batch: Batch, held: Held, rows: list[tuple[bytes, bytes | None]]) -> None:
        builders = build(self.app, self.topic, batch.partition, framed(rows, held.term))
        if len(builders) > 1:
            size = sum(builder.size() for builder in builders)
            raise StateError(
                f"{self.name}: {len(rows)} rows of one slice for {self.topic}[{batch.partition}] take {size} bytes, "
                f"and must fit in one record batch of {self.app.timing.max_batch_bytes}: its rows are too large"
            )
        batch.check()
        first = await ship(self.app, self.topic, batch.partition, builders[0], "after_state_write", self.name)
        if first == UNKNOWN:  # the broker had it already and does not say where: the next write mends what is between
            return
        expected, held.next_offset = held.next_offset, first + len(rows)
        if first != expected:
            await self._mend(batch, held, expected, first)

    async def _mend(self, batch: Batch, held: Held, start: int, end: int) -> None:
        """Write again every key that somebody else wrote between our own rows.

        Readers ignore those rows, but compaction would keep them and drop ours that stand before them.
        """
        keys: set[bytes] = set()

        def take(record: ConsumerRecord) -> None:
            if record.key is not None and not record.key.startswith(OURS):
                keys.add(record.key)

        await self._changelog.read(self.topic, batch.partition, start, end, take)
        self.mended += 1
        log.warning(
            "%s[%d]: offsets %d to %d are not ours, %d keys written again",
            self.topic, batch.partition, start, end - 1, len(keys),
        )  # fmt: skip
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
        term = Term(0, batch.generation)
        end = await self._own(batch, term)
        loaded = await self._changelog.load(self.topic, batch.partition, end)
        if loaded.term > term:
            # The group's generations began again. A commit that the broker takes proves that this is not instead a
            # worker of the past.
            await self.app.confirm_membership()
            term = Term(loaded.term.epoch + 1, batch.generation)
            end = await self._own(batch, term)
            loaded = await self._changelog.load(self.topic, batch.partition, end)
            if loaded.term > term:
                raise StateError(
                    f"{self.topic}[{batch.partition}]: two groups write here ({loaded.term} after {term}): give each "
                    "its own EVENHAND_TOPIC_PREFIX"
                )
        self.ignored += loaded.ignored
        self.loads += 1
        return Held(self._fill(batch.partition, loaded), loaded.position, term, end)

    async def _own(self, batch: Batch, term: Term) -> int:
        """Append an owner record and return the offset after it."""
        for _ in range(3):
            batch.check()
            (builder,) = build(self.app, self.topic, batch.partition, framed([(OWNER, b"")], term))
            first = await ship(self.app, self.topic, batch.partition, builder)
            if first != UNKNOWN:
                return first + 1
        raise StateError(f"{self.topic}[{batch.partition}]: the broker does not say where it wrote")

    def _fill(self, partition: int, loaded: Loaded) -> Processor:
        """A processor with the rows; what it cannot take is named by its offset."""
        processor, at = self._make(partition), 0

        def rows() -> Iterator[tuple[bytes, bytes]]:
            nonlocal at
            for key, (value, offset) in loaded.rows.items():
                at = offset
                yield key, value

        try:
            processor.load(rows())
        except Exception as exc:
            raise corrupt(self.topic, partition, at, exc) from exc
        return processor
