"""What a user's own model server may write by mistake: a dead letter each, and nobody else's predictions suffer."""

import msgspec
import pytest

from evenhand.codec import encode
from evenhand.events import DeadLettered, OutcomeObserved, PredictionMade, PredictionScored
from evenhand.offline import MemoryRecord
from evenhand.processors.attribution import Attribution
from evenhand.processors.base import Processor
from evenhand.processors.evidence import Evidence
from evenhand.processors.measurement import Measurement
from evenhand.topics import DEAD_LETTERS, OBSERVATIONS, PREDICTIONS, SCORED

TIME = 1_600_000_000_000


def made(request: str = "r", **changed: object) -> bytes:
    event = PredictionMade(
        id=request, time=TIME, key="k", request_id=request, model="m", unit=request, variant="a", version="1",
        values=(1.0, 2.0), target_times=(TIME + 1000, TIME + 2000), wait_s=3600,
    )  # fmt: skip
    return encode(msgspec.structs.replace(event, **changed))


def record(value: bytes | None, offset: int = 0) -> MemoryRecord:
    return MemoryRecord(offset, TIME, b"k", value, [("seen_at", b"%d" % TIME)])


STRANGE = {
    "not JSON: Input data was truncated": None,
    "object keys must be strings": b"{]",
    "not UTF-8": b'{"type":"\xff"}',
    "no `type`": b"{}",
    "unknown `type` 'PredictionsMade'": b'{"type":"PredictionsMade"}',
    "does not take OutcomeObserved": b'{"type":"OutcomeObserved"}',
    "request_id is missing": made().replace(b"request_id", b"request"),
    "target_times has 3 entries": made(target_times=(TIME, TIME + 1, TIME + 2)),
    "values has 65 steps": made(values=(1.0,) * 65),
    "beyond 1e+50": made(values=(1e300, 1.0)),
    "is no time": made(wait_s=2**60),
}


@pytest.mark.parametrize("reason", STRANGE)
@pytest.mark.parametrize("is_last", [False, True])
def test_what_is_no_prediction_is_told_once_and_its_neighbours_are_joined(reason: str, *, is_last: bool) -> None:
    values = [made("good"), STRANGE[reason]] if is_last else [STRANGE[reason], made("good")]
    records = [record(value, offset) for offset, value in enumerate(values)]
    attribution = Attribution(0, 1)
    output = attribution.apply(PREDICTIONS, records)
    (letter,) = [msgspec.json.decode(row.value or b"", type=DeadLettered) for row in output.sends[DEAD_LETTERS, 0]]
    assert reason in letter.reason
    assert (letter.topic, letter.offset) == (PREDICTIONS, int(is_last))
    for step in range(3):
        outcome = OutcomeObserved(id=f"o{step}", time=TIME, key="k", value=1.0, target_time=TIME + 1000 * step)
        output = attribution.apply(OBSERVATIONS, [record(encode(outcome), step)])
        scored = [
            msgspec.json.decode(row.value or b"", type=PredictionScored) for row in output.sends.get((SCORED, 0), ())
        ]
        assert [(each.request_id, each.step) for each in scored] == ([("good", step)] if step else [])
    others: list[Processor] = [Evidence(0, 1), Measurement(0, 1)]
    for other in others:
        assert not other.apply(PREDICTIONS, records).sends
