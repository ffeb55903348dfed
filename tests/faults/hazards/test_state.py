"""State: H15, H16, and rows that cannot be used."""

import asyncio
from types import SimpleNamespace
from typing import Any

import faust
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from adapters.kafka.capabilities import EVERYTHING
from adapters.kafka.changelog import Changelog, Loaded
from adapters.kafka.rows import POSITION, StateError, Term, write_term
from adapters.kafka.settings import KafkaSettings
from adapters.kafka.state import PartitionState
from adapters.kafka.timing import Timing
from adapters.kafka.topics import ensure_topics
from evenhand.topics import every_topic, state_topic
from tests.faults.hazards.rigs import Rigs, record

pytestmark = [
    pytest.mark.faults,
    # Faust and mode warn about their own use of asyncio and of what they leave behind.
    pytest.mark.filterwarnings("ignore"),
]


def state_row(offset: int, key: bytes | None, value: bytes | None, *, term: Term | None = None) -> Any:
    found = record(offset, value or b"")
    found.key, found.value = key, value
    found.headers = write_term(term or Term(0, 1))
    return found


class OneFetch:
    """A consumer that returns these records once, and then nothing."""

    def __init__(self, records: list[Any]) -> None:
        self._records, self._at = records, 0

    def assign(self, tps: Any) -> None:
        """Whatever it is."""

    async def seek_to_beginning(self, *tps: Any) -> None:
        self._at = 0

    async def position(self, tp: Any) -> int:
        return self._at

    async def getmany(self, tp: Any, timeout_ms: int) -> dict[Any, list[Any]]:
        await asyncio.sleep(0.01)
        records, self._records = self._records, []
        self._at += len(records)
        return {tp: records}


async def test_h15_stock_recovery_of_a_table_of_dicts_never_ends(rigs: Rigs) -> None:
    stock = await rigs.stock()
    table = stock.app.Table("rows", value_type=dict, partitions=1)
    app, recovery = stock.app, stock.app.tables.recovery
    topic = table.changelog_topic
    tp = faust.types.TP(topic.get_topic_name(), 0)
    app.tables._changelogs[tp.topic] = table
    recovery.tp_to_table[tp] = table
    recovery.active_tps.add(tp)
    recovery.active_offsets[tp], recovery.active_highwaters[tp] = -1, 0
    recovery._set_recovery_started()
    channel = topic.clone_using_queue(app.tables.changelog_queue)
    deliver = app.topics._compiler.build(app.topics, tp, {channel})
    slurping = asyncio.ensure_future(type(recovery)._slurp_changelogs.fun(recovery))
    try:
        row = faust.types.tuples.ConsumerMessage(
            tp.topic, 0, 0, 0.0, 0, [], b'"k"', b'{"n": 1}', None, tp=tp, generation_id=1
        )
        await deliver(row)
        await asyncio.sleep(6)
        assert recovery.in_recovery, "stock Faust is mended: one good row is recovered"
    finally:
        slurping.cancel()


def test_h15_our_rows_are_bytes_of_any_kind() -> None:
    loaded = Loaded()
    loaded.take(state_row(0, b"k", b'{"n": 1}'))
    loaded.take(state_row(1, POSITION, b'{"t":7}'))
    assert loaded.rows == {b"k": (b'{"n": 1}', 0)}
    assert loaded.position == {"t": 7}


@pytest.mark.parametrize("last", [False, True])
async def test_a_corrupt_row_is_named_by_its_offset_and_never_hangs(last: bool) -> None:
    changelog = Changelog(KafkaSettings(known_capabilities=EVERYTHING), Timing(load_timeout_s=1))
    rows = [state_row(0, b"a", b"1"), state_row(1, POSITION, b"{corrupt"), state_row(2, b"b", b"2")]
    rows = rows[:2] if last else rows
    changelog._consumer = OneFetch(rows)
    with pytest.raises(StateError, match=r"evenhand.intake.state.v1\[3\]: the row at offset 1 cannot be used"):
        await changelog.load("evenhand.intake.state.v1", 3, len(rows))


async def test_rows_that_do_not_come_are_named_within_the_deadline() -> None:
    changelog = Changelog(KafkaSettings(known_capabilities=EVERYTHING), Timing(load_timeout_s=0.3))
    changelog._consumer = OneFetch([state_row(0, b"a", b"1")])
    with pytest.raises(StateError, match=r"evenhand.intake.state.v1\[3\]: nothing to be read at offset 1 for 0.3 s"):
        await asyncio.wait_for(changelog.load("evenhand.intake.state.v1", 3, 5), 3)


async def test_a_row_that_the_processor_refuses_is_named_by_its_offset() -> None:
    class Picky:
        def load(self, rows: Any) -> None:
            for _, value in rows:
                int(value)

    app = SimpleNamespace(kafka=KafkaSettings(known_capabilities=EVERYTHING), timing=Timing(), at_end=[])
    state = PartitionState(app, "intake", lambda _: Picky())  # type: ignore[arg-type, return-value]
    loaded = Loaded()
    loaded.take(state_row(4, b"a", b"1"))
    loaded.take(state_row(9, b"b", b"x"))
    with pytest.raises(StateError, match="the row at offset 9 cannot be used: ValueError"):
        state._fill(3, loaded)


async def test_h16_a_load_goes_to_its_end_where_the_broker_tells_another(settings: KafkaSettings) -> None:
    await ensure_topics(settings, every_topic())
    topic = state_topic("intake").name
    tp = TopicPartition(settings.topic(topic), 0)
    async with asyncio.timeout(30):
        producer = AIOKafkaProducer(**settings.client_kwargs(), acks="all")
        await producer.start()
        builder = producer.create_batch()
        for i in range(5):
            builder.append(timestamp=None, key=b"k%d" % i, value=b"v", headers=write_term(Term(0, 1)))
        await (await producer.send_batch(builder, tp.topic, partition=0))
        await producer.stop()
    changelog = Changelog(settings, Timing(load_timeout_s=10))
    consumer = AIOKafkaConsumer(**settings.client_kwargs())
    try:
        await consumer.start()
        told = (await consumer.end_offsets([tp]))[tp]
        assert (told == 5) is settings.capabilities.end_offsets_exact
        loaded = await changelog.load(topic, 0, 5)
        assert len(loaded.rows) == 5
    finally:
        await consumer.stop()
        await changelog.close()
