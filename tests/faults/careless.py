"""Workers with one safety taken out, which CARELESS names: the books must notice.

`repeats`: what the state has applied is applied again. `stock`: as in stock Faust, a message is done when its agent has
taken it. `first`: a message is done when the first of its agents is.
"""

import os
from functools import wraps

from adapters.kafka.delivery import Batch
from adapters.kafka.lanes import Delivery
from adapters.kafka.reading import Partition
from adapters.kafka.state import Held, PartitionState
from tests.faults.worker import app

__all__ = ["app"]


def forget_positions() -> None:
    """No record of a batch is taken for a repeat."""
    of = PartitionState.of

    @wraps(of)
    async def without(self: PartitionState, batch: Batch) -> Held:
        held = await of(self, batch)
        held.position.clear()
        return held

    PartitionState.of = without  # type: ignore[method-assign]


def commit_like_stock() -> None:
    """The agent's loop has moved on: done."""
    take = Partition.take

    @wraps(take)
    def done(self: Partition, delivery: Delivery) -> None:
        take(self, delivery)
        delivery.finish(self._name)

    Partition.take = done  # type: ignore[method-assign]


def commit_with_the_first() -> None:
    """One reader is done: all are."""

    def finish(self: Delivery, reader: str) -> None:
        self.waiting.clear()
        self.lane.advance()

    Delivery.finish = finish  # type: ignore[method-assign]


SAFETIES = {"repeats": forget_positions, "stock": commit_like_stock, "first": commit_with_the_first}
if careless := os.environ.get("CARELESS"):
    SAFETIES[careless]()
