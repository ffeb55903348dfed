"""Copies of one event: the better one counts, and the books stay balanced."""

from itertools import permutations
from typing import cast

import msgspec
import pytest

from evenhand.codec import encode
from evenhand.events import OutcomeObserved, PredictionMade, PredictionRequested, PredictionScored
from evenhand.offline import Log, MemoryRecord, state_of
from evenhand.processors.attribution import Attribution
from evenhand.processors.base import Row
from evenhand.processors.evidence import Evidence
from evenhand.processors.pairs import Prediction, unpack_prediction
from evenhand.topics import OBSERVATIONS, OUTCOMES, PREDICTIONS, REQUESTS, SCORED
from tests.unit.processors.play import START, play, served, trial

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


def scored(*outcomes: OutcomeObserved, begins: int = START, asked: int = START + 60_000) -> dict[str, list[bytes]]:
    """What evidence holds of the pairs that a prediction and its outcomes lead to, in this order of arrival."""
    log = Log(1)
    log.append(REQUESTS, 0, [Row(None, encode(msgspec.structs.replace(served(trial()), time=begins)), [])])
    request = PredictionRequested(id="r", time=asked, key="k", model="line", features=[1.0])
    log.append(REQUESTS, 0, [Row(None, encode(request), [])])
    runner = play(log)
    for outcome in outcomes:
        log.append(OUTCOMES, 0, [Row(None, encode(outcome), [])])
        runner.run()
    (evidence,) = state_of(runner, "evidence").values()
    return {
        str(of): [encode(pair) for pair in held.pairs.values()] for of, held in cast("Evidence", evidence).open.items()
    }


def test_of_outcomes_that_contradict_each_other_the_same_one_is_evidence_whatever_the_order() -> None:
    # Both came before the request, so that their pairs have one time; the ids are in another order than the times.
    outcomes = [
        OutcomeObserved(id=name, time=START + 60_000 - before, key="k", value=value, request_id="r")
        for name, before, value in (("a", 1000, 1.0), ("b", 3000, 2.0), ("c", 2000, 3.0))
    ]
    found = [scored(*order) for order in permutations(outcomes)]
    assert len(found[0]) == 1
    assert all(each == found[0] for each in found)


def test_a_pair_whose_better_copy_is_of_before_the_experiment_is_no_evidence_whatever_the_order() -> None:
    asked, begins = START + 8_000, START + 5_000  # the first epoch that counts begins at START + 10_000
    before, after = (
        OutcomeObserved(id=name, time=asked + later, key="k", value=1.0, request_id="r")
        for name, later in (("b", 1000), ("a", 3000))
    )
    assert sum(map(len, scored(after, begins=begins, asked=asked).values())) == 1
    for outcomes in permutations((before, after, after)):
        found = scored(*outcomes, begins=begins, asked=asked)
        assert not any(found.values()), [each.id for each in outcomes]


def test_an_answer_is_preferred_to_an_error_so_that_no_pair_is_taken_back() -> None:
    counts = [counted(*order, batch=1).counts for order in permutations((made(TIME), made(TIME, error="no")))]
    assert [(each.predictions, each.errors) for each in counts] == [(1, 0), (1, 0)]


def test_outcomes_of_one_target_from_hundreds_of_users_are_weighed_by_turns_and_unpack_each_prediction_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each looked all predictions up again: 2,000 and 500 took sixteen seconds, and a watchdog ends such a worker."""
    looked = 0

    def counting(data: bytes) -> Prediction:
        nonlocal looked
        looked += 1
        return unpack_prediction(data)

    monkeypatch.setattr("evenhand.processors.attribution.unpack_prediction", counting)
    target, count = TIME + 60_000, 200
    made = [
        PredictionMade(
            id=f"m{i}", time=TIME + i, key="k", request_id=f"r{i}", model="m", unit=f"r{i}", variant="a", version="1",
            values=(1.0,), target_times=(target,), wait_s=3600,
        )
        for i in range(count)
    ]  # fmt: skip
    told = [OutcomeObserved(id=f"o{i}", time=target - i, key="k", value=i, target_time=target) for i in range(count)]
    found = []
    for batch in (1, count):
        processor, last, looked = Attribution(0, 1), dict[str, str](), 0
        for topic, events in ((PREDICTIONS, made), (OBSERVATIONS, told)):
            records = [MemoryRecord(i, 0, None, encode(e), [("seen_at", b"%d" % e.time)]) for i, e in enumerate(events)]
            for start in range(0, count, batch):
                for row in processor.apply(topic, records[start : start + batch]).sends.get((SCORED, 0), []):
                    pair = msgspec.json.decode(row.value or b"", type=PredictionScored)
                    last[pair.request_id] = pair.outcome_id
        found.append((last, msgspec.structs.asdict(processor.counts)))
    assert looked == count
    assert found[0] == found[1]
    scored, counts = found[0]
    assert set(scored.values()) == {f"o{count - 1}"}, "the earliest"
    assert counts["matured"] == count
