"""Rebalances and standing still: H8, H9, H12 and H13."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from adapters.kafka import watchdog
from adapters.kafka.ending import NOT_CONSUMING
from tests.faults.hazards.rigs import PARTITION, Rigs, message, record

pytestmark = [
    pytest.mark.faults,
    # Faust and mode warn about their own use of asyncio and of what they leave behind.
    pytest.mark.filterwarnings("ignore"),
]

ROOT = Path(__file__).parents[3]


async def test_h8_a_slow_agent_holds_up_a_rebalance_no_longer_than_its_deadline(rigs: Rigs) -> None:
    async def slow(offset: int, value: bytes) -> None:
        await asyncio.sleep(60)

    stock = await rigs.stock(slow)
    await stock.feed(1)
    waiting = asyncio.ensure_future(stock.consumer.wait_empty())
    await asyncio.sleep(2.5)
    assert not waiting.done(), "stock Faust is mended: it gives up by itself"
    stock.consumer._stopped.set()
    await waiting

    ours = await rigs.ours(slow)
    await ours.feed(1)
    assert await asyncio.wait_for(ours.app.lanes.finish_work(0.2), 1) == [PARTITION]
    assert ours.committable is None


def test_h9_an_event_of_a_past_generation_is_not_acknowledged_without_cython() -> None:
    environment = {**os.environ, "NO_CYTHON": "1", "PYTHONWARNINGS": "ignore"}
    for names, expected in (("stock", 8), ("ours", None)):
        out = subprocess.run(
            [sys.executable, "-m", "tests.faults.hazards.stale", names], cwd=ROOT, env=environment, capture_output=True,
            text=True, timeout=60, check=False,
        )  # fmt: skip
        assert out.returncode == 0, out.stderr
        assert json.loads(out.stdout.splitlines()[-1]) == {"cython": False, "seen": [], "committable": expected}, names


async def test_h12_a_worker_that_does_not_consume_ends_itself(rigs: Rigs, monkeypatch: pytest.MonkeyPatch) -> None:
    stock = await rigs.stock()
    thread = stock.consumer._thread
    thread.time_started = -10_000.0
    subscription = SimpleNamespace(subscription=SimpleNamespace(assignment=None))
    thread._consumer = SimpleNamespace(_fetcher=SimpleNamespace(_subscriptions=subscription))
    thread.verify_event_path(0.0, PARTITION)
    assert not stock.app._crashed.is_set(), "stock Faust is mended: it does more than to log"

    ours = await rigs.ours()
    monkeypatch.setattr(watchdog, "LOOK_S", 0.01)
    ended: list[int] = []

    def end(code: int, reason: str, cause: BaseException | None = None) -> None:
        ended.append(code)
        raise SystemExit(code)

    monkeypatch.setattr(watchdog, "end_process", end)
    monkeypatch.setattr("faulthandler.dump_traceback", lambda **_: None)
    dog = ours.consumer.watchdog
    dog._loop_beat_s -= 60
    with pytest.raises(SystemExit):
        await asyncio.to_thread(dog._watch)
    assert ended == [NOT_CONSUMING]


async def test_h13_what_a_rebalance_kept_from_being_delivered_comes_again(
    rigs: Rigs, monkeypatch: pytest.MonkeyPatch
) -> None:
    delivered: list[int] = []
    blocked = asyncio.Event()

    async def never(found: Any) -> None:
        await blocked.wait()

    async def deliver(found: Any) -> None:
        delivered.append(found.offset)

    stock = await rigs.stock()
    fetcher = SimpleNamespace(_stopped=asyncio.Event(), should_stop=False)

    def fetched_by(*offsets: int) -> Callable[..., AsyncIterator[tuple[Any, Any]]]:
        async def getmany(timeout: float) -> AsyncIterator[tuple[Any, Any]]:  # noqa: ASYNC109  Faust's signature
            for offset in offsets:
                yield PARTITION, message(offset)
            fetcher._stopped.set()

        return getmany

    monkeypatch.setattr(stock.consumer, "getmany", fetched_by(1, 2, 3))
    stock.consumer.callback = never
    stock.consumer.suspend_flow.set()  # a rebalance begins
    await stock.consumer._drain_messages(fetcher)
    fetcher._stopped.clear()
    monkeypatch.setattr(stock.consumer, "getmany", fetched_by(1, 2, 3))
    stock.consumer.callback = deliver
    stock.consumer.suspend_flow.clear()
    await stock.consumer._drain_messages(fetcher)
    assert delivered == [3], "stock Faust is mended: 1 and 2 are not dropped as old"

    ours = await rigs.ours()
    delivered.clear()
    first = [record(1), record(2), record(3)]

    async def fetch(active: Any, timeout_s: float) -> Any:
        return ours.app.membership.generation, {PARTITION: first}

    async def rebalanced(*_: Any) -> None:
        """What the application does in a rebalance."""

    monkeypatch.setattr(ours.consumer._thread, "fetch", fetch)
    monkeypatch.setattr(ours.consumer, "_on_partitions_revoked", rebalanced)
    monkeypatch.setattr(ours.consumer, "_on_partitions_assigned", rebalanced)
    ours.consumer.callback = never
    delivering = asyncio.ensure_future(ours.consumer._fetch_and_deliver(frozenset({PARTITION})))
    await asyncio.sleep(0.05)
    await ours.consumer.on_partitions_revoked({PARTITION})
    await ours.consumer.on_partitions_assigned({PARTITION}, 2)
    blocked.set()
    await delivering
    ours.consumer.resume_flow()
    ours.consumer.callback = deliver
    await ours.consumer._fetch_and_deliver(frozenset({PARTITION}))
    assert delivered == [3], "one message for all three records"
    assert [found.offset for d in ours.app.lanes.of(PARTITION).deliveries for found in d.records] == [1, 2, 3]


async def test_h13_a_rebalance_cancels_the_fetch_that_would_go_on_into_the_next_generation(
    rigs: Rigs, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = await rigs.ours()
    returned: list[str] = []

    async def fetch(active: Any, timeout_s: float) -> Any:
        try:
            await asyncio.sleep(0.2)
        except asyncio.CancelledError:
            returned.append("cancelled")
            raise
        returned.append("records")
        return 2, {PARTITION: [record(1)]}

    async def rebalanced(*_: Any) -> None:
        """What the application does in a rebalance."""

    monkeypatch.setattr(ours.consumer._thread, "fetch", fetch)
    monkeypatch.setattr(ours.consumer, "_on_partitions_revoked", rebalanced)
    delivering = asyncio.ensure_future(ours.consumer._fetch_and_deliver(frozenset({PARTITION})))
    await asyncio.sleep(0.05)
    await ours.consumer.on_partitions_revoked({PARTITION})
    await asyncio.wait_for(delivering, 1)
    assert returned == ["cancelled"]
