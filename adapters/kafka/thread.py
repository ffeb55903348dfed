"""The thread in which the aiokafka consumer runs, fetches, and sends the group's heartbeats."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar, cast

from aiokafka import AIOKafkaConsumer, ConsumerRecord
from aiokafka.structs import OffsetAndMetadata, TopicPartition
from faust.transport.drivers import aiokafka as driver

from adapters.kafka.closing import stop_consumer
from adapters.kafka.gapless import make_consumer

if TYPE_CHECKING:
    from adapters.kafka.app import BatchApp

FETCH_BYTES = 8 << 20  # of one fetch
PARTITION_BYTES = 1 << 20  # of one partition in it: half of what a lane takes, or a pause would throw much away
Fetched = Mapping[TopicPartition, Sequence[ConsumerRecord]]
OUTSIDE = -1
T = TypeVar("T")


class BatchConsumerThread(driver.AIOKafkaConsumerThread):
    """Faust's consumer thread with our settings, and without its queue of method calls."""

    app: BatchApp

    def _create_worker_consumer(self, transport: Any) -> AIOKafkaConsumer:
        conf, timing = self.app.conf, self.app.timing
        self._assignor = self.app.assignor  # keeps equal partition numbers of an agent's topics together
        return make_consumer(
            self.app.kafka,
            bare=True,
            request_timeout_ms=int(timing.request_timeout_s * 1000),
            client_id=conf.broker_client_id,
            group_id=conf.id,
            group_instance_id=conf.consumer_group_instance_id,
            partition_assignment_strategy=[self._assignor],
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            max_poll_records=conf.broker_max_poll_records,
            max_poll_interval_ms=int((conf.broker_max_poll_interval or 0) * 1000),
            max_partition_fetch_bytes=PARTITION_BYTES,
            fetch_max_bytes=FETCH_BYTES,
            fetch_max_wait_ms=int(timing.fetch_wait_s * 1000),
            session_timeout_ms=int(timing.session_timeout_s * 1000),
            rebalance_timeout_ms=int(timing.rebalance_timeout_s * 1000),
            heartbeat_interval_ms=int(conf.broker_heartbeat_interval * 1000),
            metadata_max_age_ms=conf.consumer_metadata_max_age_ms,
            connections_max_idle_ms=conf.consumer_connections_max_idle_ms,
        )

    async def on_start(self) -> None:
        """Start the consumer, and the heart beside its heartbeats."""
        await super().on_start()
        self.add_future(self.app.heart.beat())

    async def on_thread_stop(self) -> None:
        """Stop the consumer, even while its group waits for somebody else."""
        await super(driver.AIOKafkaConsumerThread, self).on_thread_stop()  # the queue of method calls
        if self._consumer is not None:
            await stop_consumer(self._consumer)

    async def run_here(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine on this thread's loop, and wait for it on the caller's."""
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(coroutine, self.thread_loop))

    async def fetch(self, active: frozenset[TopicPartition], timeout_s: float) -> tuple[int, Fetched]:
        """Fetched by partition, as soon as there are any, and the generation in which they were taken."""
        return await self.run_here(self._fetch(active, timeout_s))

    async def _fetch(self, active: frozenset[TopicPartition], timeout_s: float) -> tuple[int, Fetched]:
        limit = self.app.conf.broker_max_poll_records
        records = await self._fetch_records(
            self._ensure_consumer(), cast("Any", active), timeout=timeout_s, max_records=limit
        )
        return self.group_generation, cast("Fetched", records)

    async def commit_offsets(self, offsets: Mapping[TopicPartition, int], timeout_s: float) -> None:
        """Commit, or raise. The broker refuses a member of a past generation."""
        commit = self._ensure_consumer().commit({tp: OffsetAndMetadata(offset, "") for tp, offset in offsets.items()})
        await self.run_here(asyncio.wait_for(commit, timeout_s))

    async def lags(self, committed: Mapping[TopicPartition, int | None], timeout_s: float) -> dict[TopicPartition, int]:
        """How far each partition's end, asked anew, is from what is committed. Runs on this thread's loop."""
        consumer = self._ensure_consumer()
        async with asyncio.timeout(timeout_s):
            owned = [tp for tp in committed if tp in consumer.assignment()]
            ends = await consumer.end_offsets(owned)
            starts = await consumer.beginning_offsets(owned)
            done = {tp: committed[tp] if committed[tp] is not None else await consumer.committed(tp) for tp in owned}
        return {tp: ends[tp] - (starts[tp] if done[tp] is None else done[tp]) for tp in owned}

    async def committed(self, tp: TopicPartition, timeout_s: float) -> int:
        """What the group has committed of a partition; 0 if nothing."""
        return await self.run_here(asyncio.wait_for(self._ensure_consumer().committed(tp), timeout_s)) or 0

    def pause(self, tp: TopicPartition) -> None:
        """Fetch no more of a partition for now."""
        self.thread_loop.call_soon_threadsafe(self._pause, tp)

    def resume(self, tp: TopicPartition) -> None:
        """Fetch it again."""
        self.thread_loop.call_soon_threadsafe(self._resume, tp)

    def _pause(self, tp: TopicPartition) -> None:
        if tp in self._ensure_consumer().assignment():
            self._ensure_consumer().pause(tp)

    def _resume(self, tp: TopicPartition) -> None:
        if tp in self._ensure_consumer().assignment():
            self._ensure_consumer().resume(tp)

    @property
    def group_generation(self) -> int:
        """The generation that the coordinator believes in; negative outside the group."""
        if self._consumer is None:
            return OUTSIDE
        return cast("int", self._consumer._coordinator.generation)  # noqa: SLF001  Faust asks in the same way
