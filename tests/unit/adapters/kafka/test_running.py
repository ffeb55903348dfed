"""A slice whose state is too large for one record batch is applied in halves, from a state that has not seen it."""

from collections.abc import Iterable, Iterator, Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from adapters.kafka import running
from evenhand.processors.base import Output, Record
from tests.unit.adapters.kafka.test_lanes import record
from tests.unit.adapters.kafka.test_state import Log, Worker


class Wide:
    """Writes a row of 400 bytes for each record, and counts what it has seen."""

    applied: list[int]

    def __init__(self) -> None:
        self.held: dict[bytes, bytes] = {}

    def load(self, rows: Iterable[tuple[bytes, bytes]]) -> None:
        self.held = dict(rows)

    def rows(self) -> Iterator[tuple[bytes, bytes]]:
        yield from self.held.items()

    def apply(self, topic: str, records: Sequence[Record]) -> Output:
        self.applied.append(len(records))
        output = Output()
        for one in records:
            key = b"%d" % one.offset
            assert key not in self.held, "seen before"
            self.held[key] = b"%d." % len(self.held) + b"x" * 400
            output.rows[key] = self.held[key]
        return output


@pytest.mark.parametrize(("limit", "sizes"), [(100_000, [40]), (16_000, [40, 20, 20]), (500, [2, 1, 1])])
async def test_halves_where_the_state_is_too_large(
    monkeypatch: pytest.MonkeyPatch, limit: int, sizes: list[int]
) -> None:
    log = Log()
    worker, Wide.applied = Worker(log, monkeypatch, limit=1000), []
    worker.state._make = lambda _: Wide()  # type: ignore[assignment, return-value]
    worker.state.app.timing = SimpleNamespace(max_batch_bytes=limit)  # type: ignore[assignment]
    batch: Any = worker.batch(1)
    batch.topic, batch.records, batch.size = "outcomes.v1", [record(offset) for offset in range(sizes[0])], 40
    await running._process(worker.state, batch, 1_000_000)
    assert Wide.applied == sizes
    assert log.rows() == {b"%d" % i: b"%d." % i + b"x" * 400 for i in range(sizes[0])}
    assert log.fold().position == {"outcomes.v1": sizes[0] - 1}
