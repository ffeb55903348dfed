"""Many tasks that send to one partition: in turn, together, and each told where its rows lie."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.producer.message_accumulator import BatchBuilder

from adapters.kafka import sending
from adapters.kafka.delivery import Batch, Fenced
from adapters.kafka.lanes import Delivery, Lanes, Membership
from adapters.kafka.sending import Row, send_rows
from adapters.kafka.timing import Timing
from tests.unit.adapters.kafka.test_lanes import TP, record


class Broker:
    """One partition as a producer sees it; what is sent before the last ack would have to wait in aiokafka's queue."""

    def __init__(self, limit: int = 1000, unknown: int = 0) -> None:
        self.limit, self.unknown = limit, unknown
        self.rows: list[bytes] = []
        self.batches = self.on_their_way = 0

    def create_batch(self) -> Any:
        builder = BatchBuilder(self.limit, 0)
        held: list[bytes] = []

        def append(*, timestamp: None, key: bytes, value: bytes, headers: list[Any]) -> Any:
            metadata = builder.append(timestamp=timestamp, key=key, value=value, headers=headers)
            if metadata is not None:
                held.append(value)
            return metadata

        return SimpleNamespace(append=append, close=builder.close, record_count=builder.record_count, held=held)

    async def send_batch(self, builder: Any, topic: str, *, partition: int) -> asyncio.Task[Any]:
        self.on_their_way += 1
        assert self.on_their_way == 1, "sent before the last one was acknowledged"
        self.batches += 1
        return asyncio.create_task(self._append(builder.held))

    async def _append(self, rows: list[bytes]) -> Any:
        await asyncio.sleep(0.001)
        self.on_their_way -= 1
        first = len(self.rows)
        self.rows += rows
        if self.unknown:
            self.unknown -= 1
            return SimpleNamespace(offset=-1)
        return SimpleNamespace(offset=first)


def app_of(broker: Broker) -> Any:
    return SimpleNamespace(
        kafka=SimpleNamespace(topic=str, bare=str), kafka_producer=lambda: broker, outboxes={}, membership=Membership(),
        timing=Timing(max_batch_bytes=broker.limit), heart=SimpleNamespace(check=lambda: None),
    )  # fmt: skip


def batch_of(app: Any) -> Batch:
    app.membership.join(1, [TP])
    return Batch(app, "reader", [Delivery(Lanes().of(TP), [record(0)], 1, 1, {"reader"})])


def rows_of(name: str, count: int, size: int = 10) -> list[Row]:
    return [(b"k", f"{name}/{i}/".encode().ljust(size, b"."), []) for i in range(count)]


def values(rows: list[Row]) -> list[bytes | None]:
    return [value for _, value, _ in rows]


async def test_eight_tasks_contend_and_share_batches() -> None:
    app = app_of(broker := Broker(100_000))

    async def work(number: int) -> None:
        for turn in range(20):
            rows = rows_of(f"{number}-{turn}", 3)
            first, last = await send_rows(app, "t", 0, rows)
            assert broker.rows[first : last + 1] == values(rows)

    await asyncio.gather(*(work(number) for number in range(8)))
    assert len(broker.rows) == 8 * 20 * 3
    assert broker.batches <= 25, "what comes while a batch is on its way shares the next"
    assert all(outbox._task is None for outbox in app.outboxes.values()), "nothing is left running"


async def test_rows_of_many_batches_stay_together_and_in_order() -> None:
    app = app_of(broker := Broker(1000))
    small, large, later = rows_of("small", 1), rows_of("large", 12, 300), rows_of("later", 2)
    places = await asyncio.gather(*(send_rows(app, "t", 0, rows) for rows in (small, large, later)))
    assert places == [(0, 0), (1, 12), (13, 14)]
    assert broker.rows == values(small + large + later)
    assert broker.batches > 3


async def test_an_offset_that_the_broker_does_not_say_is_not_guessed() -> None:
    app = app_of(Broker(unknown=1))
    assert await send_rows(app, "t", 0, rows_of("a", 2)) == (-1, -1)
    assert await send_rows(app, "t", 0, rows_of("b", 2)) == (2, 3)


async def test_nothing_is_sent_for_no_rows() -> None:
    app = app_of(broker := Broker())
    assert await send_rows(app, "t", 0, []) == (-1, -1)
    assert broker.batches == 0


async def test_who_is_fenced_or_gone_while_it_waits_sends_nothing() -> None:
    app = app_of(broker := Broker())
    batch = batch_of(app)
    early = [asyncio.create_task(send_rows(target, "t", 0, rows_of("early", 2))) for target in (batch, app)]
    while not broker.on_their_way:
        await asyncio.sleep(0)
    late = asyncio.create_task(send_rows(batch, "t", 0, rows_of("late", 2)))
    cancelled = asyncio.create_task(send_rows(app, "t", 0, rows_of("cancelled", 2)))
    await asyncio.sleep(0)
    app.membership.leave()
    cancelled.cancel()
    assert await asyncio.gather(*early) == [(0, 1), (2, 3)]
    with pytest.raises(Fenced):
        await late
    with pytest.raises(asyncio.CancelledError):
        await cancelled
    assert await send_rows(app, "t", 0, rows_of("next", 1)) == (4, 4)


async def test_a_send_that_fails_fails_for_all_who_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    class EndedError(Exception):
        pass

    def end(*_: Any) -> None:
        raise EndedError

    async def refuse(*_: Any, **__: Any) -> None:
        raise ConnectionError("gone")

    monkeypatch.setattr(sending, "end_process", end)
    app = app_of(broker := Broker(1000))
    broker.send_batch = refuse  # type: ignore[method-assign, assignment]
    sends = [send_rows(app, "t", 0, rows_of(str(i), 4, 200)) for i in range(3)]
    assert all(isinstance(error, EndedError) for error in await asyncio.gather(*sends, return_exceptions=True))
