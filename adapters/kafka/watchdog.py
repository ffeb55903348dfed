"""Ends a worker that is alive but not consuming, from a thread of its own: the loop itself may be what stands still."""

from __future__ import annotations

import asyncio
import faulthandler
import logging
import sys
import threading
import time
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from adapters.kafka.ending import NOT_CONSUMING, STOP_OVERDUE, end_process

if TYPE_CHECKING:
    from aiokafka.structs import TopicPartition

    from adapters.kafka.app import BatchApp

LOOK_S = 0.5
LAG_EVERY_S = 5.0
log = logging.getLogger(__name__)


class Watchdog:
    """Three signs that a worker stands still: its loop does not run, it is outside the group, or it lags and does not
    commit. Each has its deadline, and ends the process with the state of all tasks on stderr."""

    def __init__(self, app: BatchApp, consumer: Any) -> None:
        self._app, self._consumer = app, consumer
        self._ended = threading.Event()
        self._loop_beat_s = self._member_s = time.monotonic()
        self._committed: dict[TopicPartition, int] = {}
        self._moved_s: dict[TopicPartition, float] = {}
        self._stop_asked_s: float | None = None
        self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)

    def start(self) -> None:
        """Start to watch; from the main loop."""
        self._consumer.add_future(self._beat())
        self._loop_beat_s = self._member_s = time.monotonic()
        self._thread.start()

    def stop(self) -> None:
        """The worker ends in order."""
        self._ended.set()

    def note_commit(self, offsets: Mapping[TopicPartition, int]) -> None:
        """These moved."""
        now = time.monotonic()
        self._committed.update(offsets)
        self._moved_s.update(dict.fromkeys(offsets, now))

    def note_assignment(self, assigned: Iterable[TopicPartition]) -> None:
        """Whatever was is no longer; every partition has its deadline anew."""
        now = time.monotonic()
        self._committed.clear()
        self._moved_s = dict.fromkeys(assigned, now)
        self._member_s = now

    async def _beat(self) -> None:
        while True:
            self._loop_beat_s = time.monotonic()
            await asyncio.sleep(LOOK_S)

    def _watch(self) -> None:
        next_lag_s = time.monotonic() + LAG_EVERY_S
        while not self._ended.wait(LOOK_S):
            now = time.monotonic()
            timing = self._app.timing
            if self._app.should_stop:
                self._stop_asked_s = self._stop_asked_s or now
                if now - self._stop_asked_s > timing.stop_timeout_s:
                    self._end(STOP_OVERDUE, f"asked to stop, and not stopped within {timing.stop_timeout_s} s")
                continue
            if now - self._loop_beat_s > timing.loop_timeout_s:
                self._end(NOT_CONSUMING, f"the event loop stood still for {now - self._loop_beat_s:.1f} s")
            if self._app.membership.generation is not None and self._consumer._thread.group_generation >= 0:  # noqa: SLF001
                self._member_s = now
            elif now - self._member_s > timing.stall_timeout_s:
                self._end(NOT_CONSUMING, f"no member of the group for {now - self._member_s:.0f} s")
            if now > next_lag_s:
                next_lag_s = now + LAG_EVERY_S
                self._look_at_lag(now, timing.stall_timeout_s)

    def _look_at_lag(self, now: float, limit_s: float) -> None:
        old = [tp for tp, moved_s in list(self._moved_s.items()) if now - moved_s > limit_s]
        if not old:
            return
        thread = self._consumer._thread  # noqa: SLF001
        try:
            asked = asyncio.run_coroutine_threadsafe(self._lags(thread, old), thread.thread_loop)
            lags = asked.result(10.0)
        except Exception as exc:  # noqa: BLE001 - the broker does not answer: that is no lag of ours
            log.warning("cannot ask for the lag: %r", exc)
            return
        for tp in old:
            if lags.get(tp, 0) <= 0:
                self._moved_s[tp] = now  # nothing to do is no stall
        behind = {f"{tp.topic}[{tp.partition}]": lags[tp] for tp in old if lags.get(tp, 0) > 0}
        if behind and self._app.membership.generation is not None:
            self._end(NOT_CONSUMING, f"behind and without a commit for {limit_s:.0f} s: {behind}")

    async def _lags(self, thread: Any, tps: list[TopicPartition]) -> dict[TopicPartition, int]:
        owned = [tp for tp in tps if tp in thread._ensure_consumer().assignment()]  # noqa: SLF001
        ends = await thread.end_offsets(owned, 5.0)
        lags: dict[TopicPartition, int] = {}
        for tp in owned:
            committed = self._committed.get(tp)
            if committed is None:
                committed = await thread._ensure_consumer().committed(tp) or 0  # noqa: SLF001
            lags[tp] = ends[tp] - committed
        return lags

    def _end(self, code: int, reason: str) -> None:
        faulthandler.dump_traceback(file=sys.stderr, all_threads=True)
        for task in asyncio.all_tasks(self._app.loop):
            task.print_stack(limit=8, file=sys.stderr)
        end_process(code, reason)
