"""What was delivered and is not done yet, one lane a partition, and what may therefore be committed."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from aiokafka.structs import TopicPartition

if TYPE_CHECKING:
    from aiokafka import ConsumerRecord

MAX_RECORDS = 2000  # of one delivery
MAX_BYTES = 1 << 20
RECORD_BYTES = 64  # what a record takes beside key and value
HIGH_RECORDS, HIGH_BYTES = 2 * MAX_RECORDS, 2 * MAX_BYTES  # of one lane: from here on it is not fetched
FULL_RECORDS, FULL_BYTES = 50_000, 32 << 20  # of all lanes: from here on nothing is


class Membership:
    """What this worker owns. The generation is None while the partitions are being given away."""

    def __init__(self) -> None:
        self.generation: int | None = None
        self.is_draining = False
        self.assigned: frozenset[TopicPartition] = frozenset()

    def drain(self) -> None:
        """A rebalance begins: what is in work may finish, nothing new starts."""
        self.is_draining = True

    def leave(self) -> None:
        """From here on nothing more is written for the partitions."""
        self.generation = None
        self.assigned = frozenset()

    def join(self, generation: int, assigned: Iterable[TopicPartition]) -> None:
        """The partitions of a generation are ours."""
        self.generation, self.is_draining, self.assigned = generation, False, frozenset(assigned)


class Delivery:
    """Records of one partition, in order. Done when every agent that reads the topic is done with it."""

    __slots__ = ("generation", "in_work", "lane", "records", "size", "waiting")

    def __init__(
        self, lane: Lane, records: Sequence[ConsumerRecord], size: int, generation: int, readers: Iterable[str]
    ) -> None:
        self.lane, self.records, self.size, self.generation = lane, records, size, generation
        self.waiting = set(readers)
        self.in_work = 0

    @property
    def tp(self) -> TopicPartition:
        """Where the records come from."""
        return self.lane.tp

    def finish(self, reader: str) -> None:
        """An agent is done with it."""
        self.waiting.discard(reader)
        if not self.waiting:
            self.lane.advance()


class Lane:
    """Deliveries of one partition, oldest first. The end of their longest done prefix may be committed."""

    def __init__(self, lanes: Lanes, tp: TopicPartition) -> None:
        self.tp = tp
        self.deliveries: deque[Delivery] = deque()
        self.next_offset: int | None = None  # to be committed
        self.records = self.size = 0
        self.is_paused = False
        self._lanes = lanes

    @property
    def is_high(self) -> bool:
        """Whether so much waits that the partition should not be fetched."""
        return self.records >= HIGH_RECORDS or self.size >= HIGH_BYTES

    def add(self, delivery: Delivery) -> None:
        """Append a delivery."""
        self.deliveries.append(delivery)
        self._count(len(delivery.records), delivery.size)

    def advance(self) -> None:
        """Drop the done prefix and remember where it ends."""
        while self.deliveries and not self.deliveries[0].waiting:
            done = self.deliveries.popleft()
            self.next_offset = done.records[-1].offset + 1
            self._count(-len(done.records), -done.size)
        if self.is_paused and self.records < MAX_RECORDS and self.size < MAX_BYTES:
            self.is_paused = False
            self._lanes.on_low(self.tp)

    def abandon(self) -> None:
        """What is still in work counts no more."""
        self.deliveries.clear()
        self.is_paused = False

    def _count(self, records: int, size: int) -> None:
        self.records += records
        self.size += size
        self._lanes.count(records, size)


class Lanes:
    """The lanes of all partitions that this worker owns."""

    def __init__(self) -> None:
        self._lanes: dict[TopicPartition, Lane] = {}
        self.records = self.size = 0
        self.room = asyncio.Event()
        self.room.set()
        self.on_low: Callable[[TopicPartition], None] = lambda _: None

    def of(self, tp: TopicPartition) -> Lane:
        """The lane of a partition."""
        lane = self._lanes.get(tp)
        if lane is None:
            lane = self._lanes[tp] = Lane(self, tp)
        return lane

    def count(self, records: int, size: int) -> None:
        """Add to what all lanes hold; `room` is set while there is some."""
        self.records += records
        self.size += size
        if self.records >= FULL_RECORDS or self.size >= FULL_BYTES:
            self.room.clear()
        elif self.records <= FULL_RECORDS // 2 and self.size <= FULL_BYTES // 2:
            self.room.set()

    def next_offsets(self) -> dict[TopicPartition, int]:
        """The end of each lane's done prefix."""
        return {tp: lane.next_offset for tp, lane in self._lanes.items() if lane.next_offset is not None}

    def clear(self) -> None:
        """Forget everything: the partitions are given away."""
        for lane in self._lanes.values():
            lane.abandon()
        self._lanes.clear()
        self.records = self.size = 0
        self.room.set()

    def in_work(self) -> list[TopicPartition]:
        """Partitions of which an agent works on a delivery at this moment."""
        return [tp for tp, lane in self._lanes.items() if any(d.in_work for d in lane.deliveries)]

    async def finish_work(self, timeout_s: float) -> list[TopicPartition]:
        """Wait for what is in work; return the partitions that did not finish in time."""
        deadline = asyncio.get_running_loop().time() + timeout_s
        while (late := self.in_work()) and asyncio.get_running_loop().time() < deadline:
            await asyncio.sleep(0.005)
        return late


def cut(
    records: Sequence[ConsumerRecord], max_records: int = MAX_RECORDS, max_bytes: int = MAX_BYTES
) -> list[tuple[Sequence[ConsumerRecord], int]]:
    """Cut records into slices of at most so many records and bytes (one record may be larger), with their sizes."""
    sizes = [len(record.value or b"") + len(record.key or b"") + RECORD_BYTES for record in records]
    total = sum(sizes)
    if len(records) <= max_records and total <= max_bytes:
        return [(records, total)]
    slices: list[tuple[Sequence[ConsumerRecord], int]] = []
    start = size = 0
    for i, record_size in enumerate(sizes):
        if i > start and (i - start >= max_records or size + record_size > max_bytes):
            slices.append((records[start:i], size))
            start, size = i, 0
        size += record_size
    slices.append((records[start:], size))
    return slices
