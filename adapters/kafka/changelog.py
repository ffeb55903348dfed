"""The compacted topic that holds the rows of an agent: how they are framed, read and told apart.

Every row has its owner's term in the header `g`. A new owner first appends an owner record, then reads up to it: what
a frozen predecessor writes afterwards has a lower term and stands behind a higher one, so that every reader ignores
it. A term is (epoch, generation): the generation is the group's, and the epoch grows when the group was deleted or
forgotten and its generations began again.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from typing import TYPE_CHECKING, NamedTuple

import msgspec
from aiokafka import AIOKafkaConsumer, ConsumerRecord
from aiokafka.structs import TopicPartition

from evenhand.errors import EvenhandError

if TYPE_CHECKING:
    from adapters.kafka.settings import KafkaSettings
    from adapters.kafka.timing import Timing

OWN = b"\x00"  # keys of ours begin so; keys of processors must not
POSITION, OWNER, RESET = b"\x00position", b"\x00owner", b"\x00reset"
TERM = "g"


class StateError(EvenhandError):
    """A state topic cannot be used: the message names the topic, the partition, the offset and what to do."""


class Term(NamedTuple):
    """Who wrote a row; later owners have greater terms."""

    epoch: int
    generation: int

    def header(self) -> list[tuple[str, bytes]]:
        """As it stands with a row."""
        return [(TERM, b"%d.%d" % self)]


class Loaded:
    """What a changelog says up to an offset."""

    def __init__(self) -> None:
        self.rows: dict[bytes, tuple[bytes, int]] = {}  # key -> value, offset
        self.position: dict[str, int] = {}
        self.term = Term(0, -1)
        self.ignored = 0

    def take(self, record: ConsumerRecord) -> None:
        """Fold one record; raises ValueError if it is not a row."""
        term = _term(record)
        if record.key is None:
            raise ValueError("a row without a key")
        if record.key == RESET:
            self.rows, self.position, self.term = {}, {}, Term(0, -1)
            return
        if term < self.term:
            self.ignored += 1
            return
        self.term = term
        if record.key == POSITION:
            self.position = msgspec.json.decode(record.value or b"", type=dict[str, int])
        elif record.key == OWNER:
            pass
        elif record.value is None:
            self.rows.pop(record.key, None)
        else:
            self.rows[record.key] = (record.value, record.offset)


class Changelog:
    """Reads state topics of one application, one partition at a time, with one client."""

    def __init__(self, settings: KafkaSettings, timing: Timing) -> None:
        self._settings, self._timing = settings, timing
        self._consumer: AIOKafkaConsumer | None = None
        self._lock = asyncio.Lock()

    async def load(self, topic: str, partition: int, end: int) -> Loaded:
        """Fold a partition of a state topic (bare name) from its beginning up to `end`, exclusive."""
        loaded = Loaded()
        async for record in self.read(topic, partition, None, end):
            try:
                loaded.take(record)
            except (ValueError, msgspec.MsgspecError) as exc:
                raise corrupt(topic, partition, record.offset, exc) from exc
        return loaded

    async def read(self, topic: str, partition: int, start: int | None, end: int) -> AsyncIterator[ConsumerRecord]:
        """Records from `start` (None: the first there is) up to `end`, exclusive. Never hangs: a deadline on no
        progress names the topic and the partition."""
        limit_s = self._timing.load_timeout_s
        tp = TopicPartition(self._settings.topic(topic), partition)
        async with self._lock:
            try:
                async with asyncio.timeout(limit_s):
                    consumer = await self._start()
                    consumer.assign([tp])
                    if start is None:
                        await consumer.seek_to_beginning(tp)
                    else:
                        consumer.seek(tp, start)
                    position = await consumer.position(tp)
                while position < end:
                    async with asyncio.timeout(limit_s):
                        fetched: list[ConsumerRecord] = []
                        while not fetched and position < end:
                            fetched = (await consumer.getmany(tp, timeout_ms=500)).get(tp, [])
                            position = await consumer.position(tp)  # compaction can end before a record
                    for record in fetched:
                        if record.offset < end:
                            yield record
            except TimeoutError as exc:
                raise StateError(
                    f"{topic}[{partition}]: nothing more could be read for {limit_s} s before offset {end}; "
                    "is the broker reachable, and was the topic deleted and created again?"
                ) from exc

    async def _start(self) -> AIOKafkaConsumer:
        if self._consumer is None:
            consumer = AIOKafkaConsumer(
                **self._settings.client_kwargs(), request_timeout_ms=int(self._timing.request_timeout_s * 1000),
                enable_auto_commit=False, auto_offset_reset="earliest",
                max_partition_fetch_bytes=4 << 20, fetch_max_wait_ms=50, check_crcs=True,
            )  # fmt: skip
            await consumer.start()
            self._consumer = consumer
        return self._consumer

    async def close(self) -> None:
        """Close the client."""
        if self._consumer is not None:
            await self._consumer.stop()
            self._consumer = None


def corrupt(topic: str, partition: int, offset: int, cause: BaseException) -> StateError:
    """The error for a row that cannot be used."""
    return StateError(
        f"{topic}[{partition}]: the row at offset {offset} cannot be used: {cause}. The agent's state can be built "
        "again from its input: stop all workers and rebuild it (docs/adr/0002-faust-hazards.md)"
    )


def _term(record: ConsumerRecord) -> Term:
    return next((parse_term(value) for name, value in record.headers if name == TERM), None) or _no_term()


def _no_term() -> Term:
    raise ValueError(f"a row without the header {TERM!r}")


def parse_term(value: bytes) -> Term:
    """Read a term as it stands in a header.

    >>> parse_term(b"1.23")
    Term(epoch=1, generation=23)
    """
    epoch, _, generation = value.decode("ascii").partition(".")
    return Term(int(epoch), int(generation))


def position_row(position: dict[str, int]) -> tuple[bytes, bytes]:
    """The row that says what was applied: last offset by bare topic name."""
    return POSITION, msgspec.json.encode(dict(sorted(position.items())))


def framed(
    rows: Iterable[tuple[bytes, bytes | None]], term: Term
) -> list[tuple[bytes, bytes | None, list[tuple[str, bytes]]]]:
    """Rows as they are sent."""
    header = term.header()
    return [(key, value, header) for key, value in rows]
