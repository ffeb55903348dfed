"""Ends a worker that is alive but not consuming, from a thread of its own: the loop itself may be what stands still."""

from __future__ import annotations

import asyncio
import contextlib
import faulthandler
import logging
import sys
import threading
import time
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from adapters.kafka.ending import NOT_CONSUMING, STOP_OVERDUE, end_process

if TYPE_CHECKING:
    from aiokafka.structs import TopicPartition

    from adapters.kafka.app import BatchApp
    from adapters.kafka.thread import BatchConsumerThread

LOOK_S = 0.5
ASK_S = 10.0  # how long the broker may take to tell the lag
log = logging.getLogger(__name__)


class Watchdog:
    """Knows four ways of standing still, each with its deadline.

    The loop does not run, the worker is outside its group, it lags and does not commit, or it was asked to stop and
    does not. The state of all tasks goes to stderr.
    """

    def __init__(self, app: BatchApp, thread: BatchConsumerThread) -> None:
        self._app, self._consumer_thread = app, thread
        self._loop_beat_s = self._member_s = time.monotonic()
        self._committed: dict[TopicPartition, int] = {}
        self._moved_s: dict[TopicPartition, float] = {}
        self._stop_asked_s: float | None = None

    def start(self) -> None:
        """Start to watch."""
        self._loop_beat_s = self._member_s = time.monotonic()
        threading.Thread(target=self._watch, name="watchdog", daemon=True).start()

    async def beat(self) -> None:
        """Show that the loop runs, for ever."""
        while True:
            self._loop_beat_s = time.monotonic()
            await asyncio.sleep(LOOK_S)

    def note_commit(self, offsets: Mapping[TopicPartition, int]) -> None:
        """These moved."""
        self._committed.update(offsets)
        self._moved_s.update(dict.fromkeys(offsets, time.monotonic()))

    def note_assignment(self, assigned: Iterable[TopicPartition]) -> None:
        """Each of these has its deadline from now on."""
        self._committed = {}
        self._moved_s = dict.fromkeys(assigned, time.monotonic())

    def _watch(self) -> None:
        timing = self._app.timing
        while True:
            time.sleep(LOOK_S)
            now = time.monotonic()
            if self._app.should_stop:
                self._stop_asked_s = self._stop_asked_s or now
                if now - self._stop_asked_s > timing.stop_timeout_s:
                    self._end(STOP_OVERDUE, f"asked to stop, and not stopped within {timing.stop_timeout_s:g} s")
                continue
            if now - self._loop_beat_s > timing.loop_timeout_s:
                self._end(NOT_CONSUMING, f"the event loop stood still for {now - self._loop_beat_s:.1f} s")
            if self._app.membership.generation is not None and self._consumer_thread.group_generation >= 0:
                self._member_s = now
                self._look_at_lag(now, timing.stall_timeout_s)
            elif now - self._member_s > timing.stall_timeout_s:
                self._end(NOT_CONSUMING, f"no member of the group for {now - self._member_s:.0f} s")

    def _look_at_lag(self, now: float, limit_s: float) -> None:
        old = [tp for tp, moved_s in list(self._moved_s.items()) if now - moved_s > limit_s]
        if not old:
            return
        generation = self._app.membership.generation
        lags = self._ask({tp: self._committed.get(tp) for tp in old})
        if lags is None or generation != self._app.membership.generation:
            return
        behind = {f"{tp.topic}[{tp.partition}]": lag for tp, lag in lags.items() if lag > 0}
        if behind:
            self._end(NOT_CONSUMING, f"behind, and without a commit for {limit_s:g} s: {behind}")
        self._moved_s.update(dict.fromkeys(lags, now))  # nothing to do is no standstill

    def _ask(self, committed: Mapping[TopicPartition, int | None]) -> dict[TopicPartition, int] | None:
        thread = self._consumer_thread
        asked = asyncio.run_coroutine_threadsafe(thread.lags(committed, ASK_S), thread.thread_loop)
        try:
            return asked.result(2 * ASK_S)
        except Exception as exc:  # noqa: BLE001  a broker that does not answer is no fault of this worker
            log.warning("cannot ask for the lag: %r", exc)
            return None

    def _end(self, code: int, reason: str) -> None:
        err = sys.__stderr__  # Faust's replacement has no file under it
        if err is not None:
            with contextlib.suppress(OSError, ValueError, RuntimeError):
                for task in asyncio.all_tasks(self._app.loop):
                    task.print_stack(limit=8, file=err)
                err.flush()
                faulthandler.dump_traceback(file=err, all_threads=True)
        end_process(code, reason)
