"""Copies of one event: the better one counts, and the books stay balanced."""

import msgspec

from evenhand.codec import encode
from evenhand.events import PredictionMade
from evenhand.offline import MemoryRecord
from evenhand.processors.attribution import Attribution
from evenhand.processors.base import Row
from evenhand.topics import PREDICTIONS

TIME = 1_600_000_000_000


def made(seen_at: int, error: str | None = None) -> Row:
    event = PredictionMade(
        id="made", time=TIME, key="k", request_id="r", model="m", unit="u", variant="a", version="1.0.0",
        values=() if error else (1.0,), confidence=() if error else (0.5,), error=error, wait_s=3600, grace_s=60,
    )  # fmt: skip
    return Row(b"k", encode(event), [("seen_at", b"%d" % seen_at)])


def counted(*rows: Row, batch: int) -> Attribution:
    processor = Attribution(0, 1)
    records = [MemoryRecord(i, 0, row.key, row.value, row.headers) for i, row in enumerate(rows)]
    for start in range(0, len(records), batch):
        processor.apply(PREDICTIONS, records[start : start + batch])
    return processor


def test_a_better_copy_takes_the_place_of_a_late_one_and_is_counted_once() -> None:
    late, early = made(TIME + 120_000), made(TIME)
    for batch in (1, 2):
        for order in ((late, early), (early, late)):
            counts = counted(*order, batch=batch).counts
            assert (counts.predictions, counts.errors, counts.pending, counts.duplicates) == (1, 0, 1, 1)


def test_of_an_answer_and_an_error_one_counts_whatever_the_order() -> None:
    answer, failure = made(TIME), made(TIME, error="no")
    found = set()
    for batch in (1, 2):
        for order in ((answer, failure), (failure, answer)):
            counts = counted(*order, batch=batch).counts
            found.add((counts.predictions, counts.errors))
    assert len(found) == 1
    assert sum(found.pop()) == 1


def test_rows_of_a_partition_load_into_the_same_counts() -> None:
    processor = counted(made(TIME + 120_000), made(TIME), batch=1)
    again = Attribution(0, 1)
    again.load(processor.rows())
    assert msgspec.structs.asdict(again.counts) == msgspec.structs.asdict(processor.counts)
