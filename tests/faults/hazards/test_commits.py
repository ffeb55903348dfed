"""What is committed: H1, H2, H3, H5, H6, H7 and H14. Stock Faust commits what it has not processed."""

import asyncio
import gc
from typing import Any

import pytest
from aiokafka import TopicPartition

from adapters.kafka.ending import FAILED
from adapters.kafka.lanes import Delivery, Lanes
from tests.faults.hazards.rigs import PARTITION, Rigs, message, record

pytestmark = [
    pytest.mark.faults,
    # Faust and mode warn about their own use of asyncio and of what they leave behind.
    pytest.mark.filterwarnings("ignore"),
]


def lane_of(*offsets: int, readers: tuple[str, ...] = ("a",)) -> tuple[Lanes, list[Delivery]]:
    """A lane with one delivery a record."""
    lanes = Lanes()
    lane = lanes.of(TopicPartition("t", 0))
    deliveries = [Delivery(lane, [record(offset)], 1, 1, readers) for offset in offsets]
    for delivery in deliveries:
        lane.add(delivery)
    return lanes, deliveries


async def test_h1_a_gap_of_one_at_the_head_is_not_committed(rigs: Rigs) -> None:
    stock = await rigs.stock()
    stock.consumer._committed_offset[PARTITION] = 31
    done = message(32)
    done.incref()
    done.ack(stock.consumer)
    assert stock.committable == 33, "stock Faust is mended: 31 is still in work"

    lanes, (first, second) = lane_of(31, 32)
    second.finish("a")
    assert lanes.next_offsets() == {}
    first.finish("a")
    assert lanes.next_offsets() == {TopicPartition("t", 0): 33}


async def test_h2_poison_in_a_new_group_commits_nothing_that_waits(rigs: Rigs) -> None:
    hold = asyncio.Event()

    async def wait(offset: int, value: bytes) -> None:
        await hold.wait()

    values = [b'{"n":1}'] * 5 + [b"{not json"]
    stock = await rigs.stock(wait, serializer="json")
    await stock.feed(*range(6), values=values)
    assert stock.committable == 6, "stock Faust is mended: 0 to 4 are still in work"

    ours = await rigs.ours(wait)
    await ours.feed(*range(6), values=values)
    assert ours.committable is None
    hold.set()
    await asyncio.sleep(0.1)
    assert ours.committable == 6


async def test_h3_a_gap_in_the_log_is_not_taken_for_work_done(rigs: Rigs) -> None:
    stock = await rigs.stock()
    stock.consumer._committed_offset[PARTITION] = 10
    for offset in (10, 14):
        done = message(offset)
        done.incref()
        done.ack(stock.consumer)
        if offset == 10:
            await stock.consumer._add_gap(PARTITION, 11, 13)  # 11 and 12 are markers, 13 has just been fetched
    assert stock.committable == 15, "stock Faust is mended: 13 is still in work"

    lanes, (first, _, last) = lane_of(10, 13, 14)
    first.finish("a")
    last.finish("a")
    assert lanes.next_offsets() == {TopicPartition("t", 0): 11}


async def test_h5_an_event_whose_agent_raises_is_not_committed(rigs: Rigs) -> None:
    async def boom(offset: int, value: bytes) -> None:
        if offset == 2:
            raise RuntimeError("boom")

    stock = await rigs.stock(boom)
    await stock.feed(1, 2, 3)
    assert (stock.committable or 0) > 2, "stock Faust is mended: 2 was never processed"

    ours = await rigs.ours(boom)
    await ours.feed(1, 2, 3)
    assert ours.committable is None
    assert ours.codes[0] == FAILED, "and the process ends, so that nothing goes on behind it"


async def test_h6_poison_bytes_reach_the_agent_and_pass_only_when_it_is_done(rigs: Rigs) -> None:
    seen: list[bytes] = []

    async def see(offset: int, value: bytes) -> None:
        seen.append(value)

    poison = b"\xff{not json"
    stock = await rigs.stock(see, serializer="json")
    await stock.feed(0, values=[poison])
    assert seen == [], "stock Faust is mended: the agent sees what cannot be decoded"
    assert stock.committable == 1, "stock Faust is mended: it was never handed to the agent"

    ours = await rigs.ours(see)
    await ours.feed(0, values=[poison])
    assert seen == [poison]
    assert ours.committable == 1


async def test_h7_a_rebalance_commits_what_is_done(rigs: Rigs, monkeypatch: pytest.MonkeyPatch) -> None:
    committed: dict[str, Any] = {}

    async def rebalanced(revoked: Any) -> None:
        """What the application does in a rebalance."""

    stock = await rigs.stock()

    async def stock_rebalanced(revoked: Any) -> None:
        await stock.consumer.commit()

    monkeypatch.setattr(stock.consumer, "_on_partitions_revoked", stock_rebalanced)
    await stock.feed(1, 2, 3)
    await stock.consumer.on_partitions_revoked({PARTITION})
    assert stock.committed == {}, "stock Faust is mended: what was done is not done again"

    ours = await rigs.ours()

    async def our_commit(offsets: Any, timeout_s: float) -> None:
        committed["ours"] = offsets

    monkeypatch.setattr(ours.consumer._thread, "commit_offsets", our_commit)
    monkeypatch.setattr(ours.consumer, "_on_partitions_revoked", rebalanced)
    await ours.feed(1, 2, 3)
    await ours.consumer.on_partitions_revoked({PARTITION})
    assert committed == {"ours": {PARTITION: 4}}
    assert ours.app.membership.generation is None, "and nothing more is written for the partition"


async def test_h14_a_cancelled_event_is_not_committed_at_the_end(rigs: Rigs) -> None:
    async def slow(offset: int, value: bytes) -> None:
        if offset == 2:
            await asyncio.sleep(60)

    stock = await rigs.stock(slow)
    await stock.feed(1, 2, 3)
    await asyncio.wait_for(stock.agent.stop(), 5)  # as a worker does that is asked to stop, before its last commit
    gc.collect()  # ends the stream's iterator, whose `finally` acknowledges
    await asyncio.sleep(0.3)
    assert stock.committable == 3, "stock Faust is mended: 2 was cancelled, not processed"

    ours = await rigs.ours(slow)
    await ours.feed(1, 2, 3)
    for task in list(ours.app.working):
        task.cancel()
    await asyncio.sleep(0.3)
    assert ours.committable is None
    assert ours.codes == []
