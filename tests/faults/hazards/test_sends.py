"""What must be out before a commit: H4 and H10."""

import asyncio
from types import SimpleNamespace
from typing import Any

import faust
import pytest
from aiokafka import AIOKafkaProducer
from faust.app._attached import Attachment
from mode.utils.objects import Unordered

from adapters.kafka import sending
from adapters.kafka.capabilities import EVERYTHING
from adapters.kafka.sending import TooLarge, send_rows
from adapters.kafka.settings import KafkaSettings
from adapters.kafka.timing import Timing
from tests.faults.hazards.rigs import PARTITION, Ended, Rigs

pytestmark = [
    pytest.mark.faults,
    # Faust and mode warn about their own use of asyncio and of what they leave behind.
    pytest.mark.filterwarnings("ignore"),
]


class Acks:
    """A producer of which the test decides when and how it acknowledges."""

    def __init__(self) -> None:
        self.futures: list[asyncio.Future[Any]] = []

    def create_batch(self) -> Any:
        return AIOKafkaProducer.create_batch(
            SimpleNamespace(
                _message_accumulator=SimpleNamespace(create_builder=_builder), _key_serializer=None,
                _value_serializer=None,
            )
        )  # fmt: skip

    async def send_batch(self, builder: Any, topic: str, *, partition: int) -> Any:
        self.futures.append(asyncio.get_running_loop().create_future())
        return self.futures[-1]


def _builder(**serializers: Any) -> Any:
    from aiokafka.producer.message_accumulator import BatchBuilder  # noqa: PLC0415  only here

    return BatchBuilder(1000, 0, **serializers)


@pytest.fixture
def app_of_acks(monkeypatch: pytest.MonkeyPatch) -> Any:
    def end(code: int, reason: str, cause: BaseException | None = None) -> None:
        raise Ended(code, reason)

    monkeypatch.setattr(sending, "end_process", end)
    acks = Acks()
    return SimpleNamespace(
        kafka=KafkaSettings(known_capabilities=EVERYTHING), acks=acks, kafka_producer=lambda: acks, outboxes={},
        timing=Timing(send_timeout_s=0.3, max_batch_bytes=1000),
    )  # fmt: skip


async def test_h4_stock_commits_before_the_changelog_is_out(rigs: Rigs) -> None:
    stock = await rigs.stock()
    table = faust.App("h4", broker="kafka://localhost:9", store="memory://").Table("rows", default=int, partitions=1)
    buffer = stock.app.producer.buffer
    buffer.app = stock.app
    sent: list[Any] = []

    async def slow(future: Any, wait: bool = False) -> None:
        await asyncio.sleep(0.5)
        sent.append(future)

    table.changelog_topic.publish_message = slow  # type: ignore[method-assign, assignment]
    await buffer.start()
    try:
        for i in range(5):
            buffer.put(table.changelog_topic.as_future_message(key=b"k", value=i, partition=0))
        await buffer.flush()
        assert len(sent) < 5, "stock Faust is mended: it waits for all"
    finally:
        for task in buffer._futures:
            task.cancel()


async def test_h4_ours_waits_for_every_ack_in_order(app_of_acks: Any) -> None:
    rows: list[tuple[bytes, bytes, list[tuple[str, bytes]]]] = [(b"k", b"x" * 400, [])] * 4  # two batches
    sending_ = asyncio.ensure_future(send_rows(app_of_acks, "t", 0, rows))
    await asyncio.sleep(0.05)
    assert len(app_of_acks.acks.futures) == 1, "the second goes out after the first was acknowledged"
    app_of_acks.acks.futures[0].set_result(SimpleNamespace(offset=10))
    await asyncio.sleep(0.05)
    assert not sending_.done()
    app_of_acks.acks.futures[1].set_result(SimpleNamespace(offset=12))
    assert await sending_ == (10, 13)


@pytest.mark.parametrize("failure", ["refused", "silent"])
async def test_h4_a_send_that_fails_ends_the_process_and_names_the_place(app_of_acks: Any, failure: str) -> None:
    sending_ = asyncio.ensure_future(send_rows(app_of_acks, "scored-predictions.v1", 5, [(b"k", b"v", [])]))
    await asyncio.sleep(0.05)
    if failure == "refused":
        app_of_acks.acks.futures[0].set_exception(ConnectionError("gone"))
    with pytest.raises(Ended, match=r"scored-predictions.v1\[5\]"):
        await asyncio.wait_for(sending_, 2)


async def test_h4_sizes_are_checked_before_anything_is_sent(app_of_acks: Any) -> None:
    with pytest.raises(TooLarge, match=r"outcomes.v1\[3\] is over the limit of 1000 bytes"):
        await send_rows(app_of_acks, "outcomes.v1", 3, [(b"k", b"v", []), (b"k", b"x" * 2000, [])])
    assert app_of_acks.acks.futures == []


async def test_h10_attached_messages_are_sent_one_offset_early_and_not_used(rigs: Rigs) -> None:
    stock = await rigs.stock()
    attached = stock.app.topic("out").as_future_message(value=b"v")
    stock.app._attachments._pending[PARTITION].append(Attachment(3, Unordered(attached)))
    early = list(stock.app._attachments._attachments_for(PARTITION, 3))  # a commit of 3 means: 2 is done
    assert early, "stock Faust is mended: what belongs to 3 waits for 3"

    ours = await rigs.ours()
    assert not ours.app.conf.stream_publish_on_commit
