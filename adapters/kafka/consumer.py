"""Delivers fetched records as batches, commits what is done, and gives partitions away safely."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, cast

from aiokafka.errors import CommitFailedError
from aiokafka.structs import TopicPartition
from faust.transport.drivers import aiokafka as driver
from faust.types.tuples import ConsumerMessage

from adapters.kafka import failpoints
from adapters.kafka.lanes import Delivery, cut
from adapters.kafka.starting import check_copartitioned, check_settings, check_topics
from adapters.kafka.thread import BatchConsumerThread, Fetched
from adapters.kafka.tuning import tune
from adapters.kafka.watchdog import Watchdog
from evenhand.processors.records import Records

if TYPE_CHECKING:
    from adapters.kafka.app import BatchApp

FETCH_TIMEOUT_S = 1.0
log = logging.getLogger(__name__)


class BatchConsumer(driver.Consumer):
    """Faust's consumer without its drain loop, its acknowledgements and its commits.

    The stock drain loop moves its read position past a message that a rebalance kept it from delivering, and then
    drops what is delivered again as old. Here a rebalance ends the delivery, and everything that was not committed
    is fetched anew by whoever owns the partition then.
    """

    app: BatchApp
    _thread: BatchConsumerThread

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.app.lanes.on_low = self._thread.resume
        self._committed: dict[TopicPartition, int] = {}
        self._commit_lock = asyncio.Lock()
        self._fetching: asyncio.Future[tuple[int, Fetched]] | None = None
        self.watchdog = Watchdog(self.app, self._thread)

    def _new_consumer_thread(self) -> BatchConsumerThread:
        return BatchConsumerThread(self, loop=self.loop, beacon=self.beacon)

    async def on_start(self) -> None:
        """Check what could make workers disagree, then start."""
        tune()
        check_settings(self.app)
        await check_topics(self.app)
        await super().on_start()
        self.add_future(self.watchdog.beat())
        self.watchdog.start()

    async def _drain_messages(self, fetcher: Any) -> None:
        app = self.app
        try:
            while not (self.should_stop or fetcher.should_stop):
                active = frozenset(self._get_active_partitions())
                if not self.flow_active:
                    await self.wait(cast("Any", self.can_resume_flow))
                elif not app.lanes.room.is_set():
                    await self.wait(cast("Any", app.lanes.room))
                elif not active:
                    await self.sleep(0.02)
                else:
                    await self._fetch_and_deliver(active)
        except self.consumer_stopped_errors:
            if not app.should_stop:
                raise

    async def _fetch_and_deliver(self, active: frozenset[Any]) -> None:
        # A fetch moves the read position, so what it returns is delivered or lost. A rebalance cancels it: one that
        # went on into the next generation could return records between the seek to the committed offsets and the
        # flow of messages, when they cannot be delivered.
        fetching = self._fetching = asyncio.ensure_future(self._thread.fetch(active, FETCH_TIMEOUT_S))
        try:
            await asyncio.wait({fetching})
        finally:
            fetching.cancel()
        if not fetching.cancelled():
            generation, records = fetching.result()
            await self._deliver(records, generation)

    async def _deliver(self, records: Fetched, generation: int) -> None:
        app = self.app
        for tp, of_partition in records.items():
            lane = app.lanes.of(tp)
            for part, size in cut(of_partition):
                if not self.flow_active or app.membership.generation != generation:
                    return
                delivery = Delivery(lane, Records(part), size, generation, app.readers[tp.topic])
                lane.add(delivery)
                last = part[-1]
                message = ConsumerMessage(
                    tp.topic, tp.partition, last.offset, (last.timestamp or 0) / 1000.0, last.timestamp_type,
                    None, None, cast("Any", delivery), None, 0, 0, tp, generation_id=generation,
                )  # fmt: skip
                await self.callback(message)
            if lane.is_high and not lane.is_paused and app.membership.generation == generation:
                lane.is_paused = True
                self._thread.pause(tp)

    async def commit(self, topics: Any = None, start_new_transaction: bool = True) -> bool:  # noqa: FBT001, FBT002  Faust's signature
        """Commit the done prefix of every partition: on Faust's timer, in a rebalance and at the end."""
        async with self._commit_lock:
            committed = self._committed
            offsets = {tp: end for tp, end in self.app.lanes.next_offsets().items() if end > committed.get(tp, -1)}
            if not offsets:
                return False
            await failpoints.reach("before_commit")
            try:
                await self._thread.commit_offsets(offsets, self.app.timing.request_timeout_s)
            except CommitFailedError as exc:
                log.warning("not committed, the group has moved on: %s", exc)
                return False
            except Exception as exc:  # noqa: BLE001  the next one covers it, and the watchdog sees if none succeeds
                log.warning("not committed this time: %r", exc)
                return False
            committed.update(offsets)
            self.watchdog.note_commit(offsets)
            await failpoints.reach("after_commit")
            return True

    async def confirm_membership(self) -> None:
        """Raise unless the broker takes a commit of this worker; it takes none of a member of a past generation."""
        timeout_s = self.app.timing.request_timeout_s
        for tp in sorted(self.app.membership.assigned)[:1]:
            offset = self._committed.get(tp) or await self._thread.committed(tp, timeout_s)
            await self._thread.commit_offsets({tp: offset}, timeout_s)

    async def on_partitions_revoked(self, revoked: set[Any]) -> None:
        """Let what is in work finish, commit, and only then give the partitions away."""
        app = self.app
        app.membership.drain()
        self.stop_flow()
        if self._fetching is not None:
            self._fetching.cancel()
        app.flow_control.suspend()
        app.heart.check()
        late = await app.lanes.finish_work(app.timing.revoke_timeout_s)
        await failpoints.reach("in_revoke")
        app.membership.leave()  # what is late is fenced from here on
        if late:
            log.warning("fenced by a rebalance, to be redone by their next owners: %s", _names(late))
        try:
            await asyncio.wait_for(self.commit(), app.timing.revoke_timeout_s)
        except TimeoutError:
            log.warning("no commit within %g s of a rebalance: it is redone", app.timing.revoke_timeout_s)
        app.lanes.clear()
        self._committed.clear()
        await super().on_partitions_revoked(revoked)

    async def on_partitions_assigned(self, assigned: set[Any], generation_id: int = 0) -> None:
        """Check that what belongs together came together, and take over."""
        check_copartitioned(self.app, assigned)
        self.app.lanes.clear()
        self._committed.clear()
        self.app.membership.join(generation_id, assigned)
        self.watchdog.note_assignment(assigned)
        await super().on_partitions_assigned(assigned, generation_id)

    async def on_stop(self) -> None:
        """Let what is in work finish, commit, and end the agents' tasks."""
        app = self.app
        app.membership.drain()
        late = await app.lanes.finish_work(app.timing.stop_timeout_s / 2)
        app.membership.leave()
        if late:
            log.warning("not finished at the end, to be redone: %s", _names(late))
        await self.commit()
        for task in list(app.working):
            task.cancel()
        for close in app.at_end:
            await close()


def _names(tps: Iterable[TopicPartition]) -> str:
    return ", ".join(f"{tp.topic}[{tp.partition}]" for tp in tps)
