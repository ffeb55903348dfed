"""State: who owns a changelog, who is ignored, and what is written again. The changelog is a list in memory."""

from collections.abc import Callable, Iterable, Iterator
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest

from adapters.kafka import state as module
from adapters.kafka.changelog import Loaded
from adapters.kafka.delivery import Fenced
from adapters.kafka.rows import RESET, StateError
from adapters.kafka.state import Held, PartitionState


class Stored(NamedTuple):
    offset: int
    key: bytes
    value: bytes | None
    headers: list[tuple[str, bytes]]


class Log:
    """One partition of a state topic; `unknown` appends are not told their offset."""

    def __init__(self) -> None:
        self.records: list[Stored] = []
        self.unknown = 0

    def append(self, rows: Iterable[Any]) -> int:
        first = len(self.records)
        self.records += [Stored(first + i, *row) for i, row in enumerate(rows)]
        return first

    def compact(self) -> None:
        latest = {record.key: record.offset for record in self.records}
        self.records = [
            record if latest[record.key] == record.offset else record._replace(key=b"\x00gone", value=b"")
            for record in self.records
        ]

    def fold(self, end: int | None = None) -> Loaded:
        loaded = Loaded()
        for record in self.records[:end]:
            if record.key != b"\x00gone":
                loaded.take(record)
        return loaded

    def rows(self) -> dict[bytes, bytes]:
        return {key: value for key, (value, _) in self.fold().rows.items()}


class Counter:
    """Counts what it is given, by key."""

    def __init__(self) -> None:
        self.of: dict[bytes, int] = {}

    def load(self, rows: Iterable[tuple[bytes, bytes]]) -> None:
        self.of = {key: int(value) for key, value in rows}

    def rows(self) -> Iterator[tuple[bytes, bytes]]:
        return ((key, b"%d" % count) for key, count in self.of.items())

    def add(self, key: bytes) -> dict[bytes, bytes | None]:
        self.of[key] = self.of.get(key, 0) + 1
        return {key: b"%d" % self.of[key]}


class Worker:
    """A worker that holds the partition in a generation. `check` is what it believes, true or not."""

    def __init__(self, log: Log, monkeypatch: pytest.MonkeyPatch, *, is_member: bool = True, limit: int = 100) -> None:
        async def confirm() -> None:
            if not is_member:
                raise ConnectionError("the group does not know this member")

        async def load(topic: str, partition: int, end: int) -> Loaded:
            return log.fold(end)

        async def read(topic: str, partition: int, start: int, end: int, take: Callable[[Any], None]) -> None:
            for record in log.records[start:end]:
                take(record)

        async def ship(app: Any, topic: str, partition: int, builder: Any, *names: str) -> int:
            first = log.append(builder.rows)
            if log.unknown:
                log.unknown -= 1
                return -1
            return first

        def build(app: Any, topic: str, partition: int, rows: Iterable[Any]) -> list[Any]:
            every = list(rows)
            parts = [every[i : i + limit] for i in range(0, len(every), limit)]
            return [SimpleNamespace(rows=p, record_count=lambda p=p: len(p), size=lambda: 1) for p in parts]

        monkeypatch.setattr(module, "ship", ship)
        monkeypatch.setattr(module, "build", build)
        app: Any = SimpleNamespace(
            kafka=None, timing=SimpleNamespace(max_batch_bytes=1), at_end=[], confirm_membership=confirm
        )
        self.state = PartitionState(app, "intake", lambda _: Counter())  # type: ignore[arg-type, return-value]
        self.state._changelog = SimpleNamespace(load=load, read=read)  # type: ignore[assignment]
        self.fenced = False

    def batch(self, generation: int) -> Any:
        def check() -> None:
            if self.fenced:
                raise Fenced

        return SimpleNamespace(partition=0, generation=generation, check=check, reader="intake")

    async def count(self, generation: int, key: bytes, offset: int) -> Held:
        batch = self.batch(generation)
        held = await self.state.of(batch)
        rows = held.processor.add(key)  # type: ignore[attr-defined]
        await self.state.put(batch, held, rows, "outcomes.v1", offset)
        return held


@pytest.fixture
def log() -> Log:
    return Log()


async def test_rows_and_position_are_there_for_the_next_owner(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    first = Worker(log, monkeypatch)
    for offset, key in enumerate([b"a", b"b", b"a"]):
        await first.count(3, key, offset)
    held = await Worker(log, monkeypatch).state.of(first.batch(4))
    assert dict(held.processor.rows()) == {b"a": b"2", b"b": b"1"}
    assert held.position == {"outcomes.v1": 2}


async def test_a_processor_is_kept_over_one_rebalance_and_loaded_after_two(
    log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = Worker(log, monkeypatch)
    first = await worker.count(3, b"a", 0)
    assert await worker.count(4, b"a", 1) is first
    assert worker.state.loads == 1
    assert await worker.count(6, b"a", 2) is not first  # in generation 5 another may have owned it
    assert worker.state.loads == 2
    assert log.rows() == {b"a": b"3"}


async def test_a_dropped_processor_is_loaded_anew(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    worker = Worker(log, monkeypatch)
    held = await worker.count(3, b"a", 0)
    held.processor.add(b"a")  # type: ignore[attr-defined]
    worker.state.drop(0)
    assert dict((await worker.state.of(worker.batch(3))).processor.rows()) == {b"a": b"1"}


async def test_what_a_frozen_worker_writes_late_is_ignored_and_mended(
    log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    frozen, owner = Worker(log, monkeypatch), Worker(log, monkeypatch)
    await frozen.count(3, b"a", 0)
    await owner.count(4, b"a", 1)
    await frozen.count(3, b"a", 1)  # thawed, and not aware of it
    await frozen.count(3, b"slice", 2)  # a key that the owner never had
    assert log.rows() == {b"a": b"2"}
    await owner.count(4, b"b", 2)
    assert owner.state.mended == 1
    log.compact()  # keeps only the latest of each key
    assert log.rows() == {b"a": b"2", b"b": b"1"}
    assert log.fold().position == {"outcomes.v1": 2}


async def test_rows_written_between_the_load_and_the_first_write_are_ignored(
    log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    frozen, owner = Worker(log, monkeypatch), Worker(log, monkeypatch)
    await frozen.count(3, b"a", 0)
    held = await owner.state.of(owner.batch(4))
    await frozen.count(3, b"a", 1)
    assert dict(held.processor.rows()) == {b"a": b"1"}
    assert log.rows() == {b"a": b"1"}
    await owner.count(4, b"a", 1)
    log.compact()
    assert log.rows() == {b"a": b"2"}


async def test_a_group_whose_generations_began_again_goes_on(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    await Worker(log, monkeypatch).count(57, b"a", 0)
    again = Worker(log, monkeypatch)
    held = await again.count(1, b"a", 1)
    assert held.term == (1, 1)
    assert log.rows() == {b"a": b"2"}
    assert dict((await Worker(log, monkeypatch).state.of(again.batch(2))).processor.rows()) == {b"a": b"2"}


async def test_a_worker_of_the_past_is_no_new_group(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    await Worker(log, monkeypatch).count(57, b"a", 0)
    past = Worker(log, monkeypatch, is_member=False)
    with pytest.raises(ConnectionError):
        await past.count(56, b"a", 0)
    assert log.rows() == {b"a": b"1"}


async def test_a_write_of_which_the_broker_does_not_tell_the_place_is_mended_by_the_next(
    log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = Worker(log, monkeypatch)
    await worker.count(3, b"a", 0)
    log.unknown = 1
    await worker.count(3, b"a", 1)
    await worker.count(3, b"b", 2)
    assert worker.state.mended == 1
    log.compact()
    assert log.rows() == {b"a": b"2", b"b": b"1"}


async def test_rows_that_do_not_fit_one_record_batch_are_refused_and_named(
    log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = Worker(log, monkeypatch, limit=2)
    held = await worker.state.of(worker.batch(3))
    before = len(log.records)
    with pytest.raises(StateError, match=r"intake: 3 rows of one slice for evenhand.intake.state.v1\[0\] take"):
        await worker.state.put(worker.batch(3), held, {b"a": b"1", b"b": b"2"}, "outcomes.v1", 0)
    assert len(log.records) == before


async def test_a_fenced_worker_writes_nothing(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    worker = Worker(log, monkeypatch)
    held = await worker.count(3, b"a", 0)
    before, worker.fenced = list(log.records), True
    with pytest.raises(Fenced):
        await worker.state.put(worker.batch(3), held, {b"a": b"2"}, "outcomes.v1", 1)
    assert log.records == before
    assert held.position == {"outcomes.v1": 0}


async def test_a_reset_row_forgets_everything_before_it(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    await Worker(log, monkeypatch).count(57, b"a", 9)
    log.append([(RESET, b"", [])])
    fresh = Worker(log, monkeypatch)
    held = await fresh.count(58, b"a", 0)
    assert (log.rows(), held.position, held.term) == ({b"a": b"1"}, {"outcomes.v1": 0}, (0, 58))
