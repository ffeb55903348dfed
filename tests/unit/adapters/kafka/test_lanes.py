"""Lanes: what may be committed, what is too much, and how records are cut."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import TopicPartition
from hypothesis import given
from hypothesis import strategies as st

from adapters.kafka import lanes as module
from adapters.kafka.lanes import Delivery, Lanes, Membership, cut

TP = TopicPartition("t", 0)


def record(offset: int, size: int = 10) -> Any:
    return SimpleNamespace(offset=offset, key=None, value=b"x" * size)


def deliver(lanes: Lanes, *offsets: int, readers: tuple[str, ...] = ("a",), size: int = 1) -> Delivery:
    lane = lanes.of(TP)
    delivery = Delivery(lane, [record(offset) for offset in offsets], size, 1, readers)
    lane.add(delivery)
    return delivery


@given(st.lists(st.tuples(st.integers(0, 4), st.sampled_from("ab")), max_size=40))
def test_only_the_end_of_the_longest_done_prefix_is_committed(steps: list[tuple[int, str]]) -> None:
    lanes = Lanes()
    deliveries = [deliver(lanes, 10 * i, 10 * i + 5, readers=("a", "b")) for i in range(5)]
    for number, reader in steps:
        deliveries[number].finish(reader)
        prefix = 0
        while prefix < 5 and not deliveries[prefix].waiting:
            prefix += 1
        assert lanes.next_offsets() == ({TP: 10 * (prefix - 1) + 6} if prefix else {})
        assert lanes.records == 2 * (5 - prefix)


def test_a_fast_agent_alone_commits_nothing() -> None:
    lanes = Lanes()
    delivery = deliver(lanes, 1, 2, readers=("fast", "slow"))
    delivery.finish("fast")
    assert lanes.next_offsets() == {}
    delivery.finish("slow")
    assert lanes.next_offsets() == {TP: 3}


def test_a_partition_is_paused_by_records_or_bytes_and_resumed_below_half() -> None:
    for first, second in (((1000, 1), (3000, 1)), ((1, 1 << 20), (1, 1 << 20))):
        lanes, resumed = Lanes(), list[Any]()
        lanes.on_low = resumed.append
        one = deliver(lanes, *range(first[0]), size=first[1])
        two = deliver(lanes, *range(first[0], first[0] + second[0]), size=second[1])
        lane = lanes.of(TP)
        assert lane.is_high
        lane.is_paused = True
        one.finish("a")
        assert resumed == ([] if second[0] > 1000 or second[1] > 1000 else [TP])
        two.finish("a")
        assert resumed == [TP]


def test_all_lanes_together_have_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FULL_RECORDS", 4)
    lanes = Lanes()
    one, two = deliver(lanes, 1, 2), deliver(lanes, 3, 4)
    assert not lanes.room.is_set()
    one.finish("a")
    assert lanes.room.is_set()
    two.finish("a")
    assert (lanes.records, lanes.size) == (0, 0)


def test_what_ends_after_the_lanes_were_cleared_counts_nothing() -> None:
    lanes = Lanes()
    late = deliver(lanes, 1)
    lanes.clear()
    late.finish("a")
    assert (lanes.records, lanes.size, lanes.next_offsets()) == (0, 0, {})


async def test_work_is_waited_for_until_the_deadline() -> None:
    lanes = Lanes()
    delivery = deliver(lanes, 1)
    delivery.in_work = 1
    assert await lanes.finish_work(0.05) == [TP]
    asyncio.get_running_loop().call_later(0.02, setattr, delivery, "in_work", 0)
    assert await lanes.finish_work(1) == []


@given(st.lists(st.integers(0, 300), min_size=1, max_size=60), st.integers(1, 10), st.integers(1, 700))
def test_slices_hold_all_records_in_order_within_bounds(sizes: list[int], max_records: int, max_bytes: int) -> None:
    records = [record(i, size) for i, size in enumerate(sizes)]
    slices = cut(records, max_records, max_bytes)
    assert [found.offset for part, _ in slices for found in part] == list(range(len(sizes)))
    for part, size in slices:
        assert size == sum(len(found.value) + 64 for found in part)
        assert len(part) <= max_records
        assert size <= max_bytes or len(part) == 1


def test_a_generation_is_nobodys_while_partitions_are_given_away() -> None:
    membership = Membership()
    membership.join(3, [TP])
    assert (membership.generation, membership.is_draining) == (3, False)
    membership.drain()
    assert (membership.generation, membership.is_draining) == (3, True)
    membership.leave()
    assert (membership.generation, membership.assigned) == (None, frozenset())
    membership.join(4, [])
    assert (membership.generation, membership.is_draining) == (4, False)
