"""Registers agents: one Faust agent for its topics, and under it one task for each partition number.

So one partition computes while another waits for acknowledgements, and the topics of one partition share its state
without a lock.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, cast

import faust
from aiokafka.structs import TopicPartition
from faust.events import Event

from adapters.kafka.app import BatchApp
from adapters.kafka.delivery import Batch
from adapters.kafka.ending import FAILED, end_process
from adapters.kafka.lanes import MAX_BYTES, MAX_RECORDS, Delivery

Work = Callable[[Batch], Awaitable[None]]


def reads(app: BatchApp, *topics: str, name: str) -> Callable[[Work], Work]:
    """Register `async def work(batch)` as the agent `name` of these topics (bare names)."""

    def decorate(work: Work) -> Work:
        full = tuple(app.kafka.topic(topic) for topic in topics)
        app.topics_of[name] = full
        for topic in full:
            app.readers[topic].add(name)
        tasks: dict[int, Partition] = {}

        async def agent(stream: AsyncIterator[Delivery]) -> None:
            async for delivery in stream:
                number = delivery.tp.partition
                if number not in tasks:
                    tasks[number] = Partition(app, name, work)
                tasks[number].take(delivery)

        agent.__name__ = name
        channel = app.topic(*full, schema=BatchSchema(), partitions=app.kafka.partitions, acks=False)
        app.agent(channel, name=name, concurrency=1)(cast("Any", agent))
        return work

    return decorate


class Partition:
    """One agent's work on one partition number. What waits of one topic is worked on together, up to a batch's size."""

    def __init__(self, app: BatchApp, name: str, work: Work) -> None:
        self._app, self._name, self._work = app, name, work
        self._waiting: dict[TopicPartition, deque[Delivery]] = {}  # in order of their first
        self._arrived = asyncio.Event()
        task = asyncio.get_running_loop().create_task(self._run(), name=f"{name} of one partition")
        app.working.add(task)
        task.add_done_callback(app.working.discard)

    def take(self, delivery: Delivery) -> None:
        """Queue a delivery; the lane's limits are the back-pressure."""
        self._waiting.setdefault(delivery.tp, deque()).append(delivery)
        self._arrived.set()

    async def _run(self) -> None:
        try:
            while True:
                await self._arrived.wait()
                deliveries = self._next()
                if not self._waiting:
                    self._arrived.clear()
                if deliveries:
                    async with Batch(self._app, self._name, deliveries) as batch:
                        batch.check()
                        await self._work(batch)
        except asyncio.CancelledError:
            raise
        except BaseException as exc:  # noqa: BLE001 - a partition without its task would stand still for ever
            end_process(FAILED, f"{self._name}: {exc!r}", exc)

    def _next(self) -> list[Delivery]:
        tp = next(iter(self._waiting))
        queue, membership = self._waiting.pop(tp), self._app.membership
        taken: list[Delivery] = []
        records = size = 0
        while queue:
            first = queue[0]
            if membership.is_draining or first.generation != membership.generation:
                queue.popleft()  # not ours any more: it is not committed, and comes again to its owner
                continue
            records, size = records + len(first.records), size + first.size
            if taken and (records > MAX_RECORDS or size > MAX_BYTES):
                break
            taken.append(queue.popleft())
        if queue:
            self._waiting[tp] = queue  # behind the other topics
        return taken


class BatchSchema(faust.Schema[Any, Any]):
    """Of the topics of an agent: hands the delivery through, undecoded."""

    def compile(
        self, app: Any, *, on_key_decode_error: Any = None, on_value_decode_error: Any = None,
        default_propagate: bool = False,
    ) -> Callable[..., Awaitable[Event]]:  # fmt: skip
        """Faust asks for a function from message to event."""

        async def decode(message: Any, **_: Any) -> Event:
            return Event(app, message.key, message.value, {}, message)

        return decode
