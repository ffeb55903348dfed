"""A batch: one agent's view of deliveries that it works on together."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Self

from adapters.kafka.ending import FAILED, end_process
from evenhand.processors.records import Records

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

    from adapters.kafka.app import BatchApp
    from adapters.kafka.lanes import Delivery
    from evenhand.processors.base import Record


class Fenced(Exception):
    """The partition was given away while its batch was in work: drop the batch, its next owner redoes it."""


class Batch:
    """`async with batch:` around all of its work. It is done when the block ends without an error.

    Nothing else leaves the block but a fence and a shutdown, which leave the batch undone, so that it is not
    committed and comes again, or an error, which ends the process: nothing else keeps Faust from going on.
    """

    __slots__ = ("_deliveries", "app", "generation", "partition", "reader", "records", "size", "topic")

    def __init__(self, app: BatchApp, reader: str, deliveries: Sequence[Delivery]) -> None:
        first = deliveries[0]
        self.app, self.reader, self.generation = app, reader, first.generation
        self.topic = app.kafka.bare(first.tp.topic)
        self.partition: int = first.tp.partition
        self.records: Sequence[Record] = first.records
        if len(deliveries) > 1:
            self.records = Records.joined([delivery.records for delivery in deliveries])
        self.size = sum(delivery.size for delivery in deliveries)
        self._deliveries = deliveries

    def __repr__(self) -> str:
        return f"<batch of {self.reader}: {self.topic}[{self.partition}] from offset {self.records[0].offset}>"

    def check(self) -> None:
        """Before every write: raise if the partition is lost, end the process if it was frozen."""
        self.app.heart.check()
        if self.app.membership.generation != self.generation:
            raise Fenced

    async def __aenter__(self) -> Self:
        for delivery in self._deliveries:
            delivery.in_work += 1
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> bool:
        for delivery in self._deliveries:
            delivery.in_work -= 1
        if exc is None:
            for delivery in self._deliveries:
                delivery.finish(self.reader)
            return False
        if isinstance(exc, Fenced):
            return True
        if not isinstance(exc, asyncio.CancelledError):
            end_process(FAILED, f"{self!r} failed: {type(exc).__name__}: {exc}", exc)
        return False
