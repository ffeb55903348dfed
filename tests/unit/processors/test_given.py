"""Answers that users bring along: the loop assigns, counts and judges them, and loads no model."""

import msgspec
import pytest

from evenhand.codec import decoder, encode
from evenhand.envelope import float_header
from evenhand.events import ControlChanged, EvidenceReported, PredictionMade, PredictionRequested, Served, Ticked
from evenhand.experiments.experiment import Experiment, Guardrail, Rule, Variant
from evenhand.offline import Log, Runner, loop
from evenhand.processors.base import Row
from evenhand.processors.control import control
from evenhand.processors.given import PREFIX, response_time_of
from evenhand.topics import EVIDENCE, METRICS, OUTCOMES, PREDICTIONS, REQUESTS
from tests.unit.processors.play import PARTITIONS, START, Lines

MODEL = f"{PREFIX}test"
TRIAL = Experiment(
    name="test", model=MODEL, champion="control",
    variants=(
        Variant(name="control", version="lstm_v1", weight=1), Variant(name="treatment", version="mine_v2", weight=1),
    ),
)  # fmt: skip


def made(features: dict[str, float]) -> list[tuple[PredictionMade, float | None]]:
    """What forty users' requests with these features lead to."""
    first = control(Served(champion="lstm_v1", experiment=TRIAL), MODEL, START, "first")
    log = Log(PARTITIONS)
    for partition in range(PARTITIONS):
        requests = [
            PredictionRequested(
                id=f"r-{partition}-{k}", time=START + k, key=f"user-{k}", unit=f"user-{k}", model=MODEL,
                features=features,
            )
            for k in range(40)
        ]  # fmt: skip
        events = [first, Ticked(id="t", time=START, key="_clock"), *requests]
        log.append(REQUESTS, partition, [Row(None, encode(event), []) for event in events], START)
    Runner(log, loop(Lines(), controls=False)).run()
    decode: msgspec.json.Decoder[object] = decoder(PredictionMade, Ticked, ControlChanged)
    found = []
    for partition in range(PARTITIONS):
        for record in log.records[PREDICTIONS, partition]:
            event = decode.decode(record.value or b"")
            if isinstance(event, PredictionMade):
                found.append((event, float_header(record, "response_time_ms")))
    return found


def test_an_answer_is_what_its_request_says_for_whoever_is_assigned() -> None:
    found = made({"prediction": 0.25, "response_time_ms": 12.5})
    assert len(found) == 40 * PARTITIONS
    assert {event.values for event, _ in found} == {(0.25,)}
    assert {took for _, took in found} == {12.5}
    assert {event.version for event, _ in found} == {"lstm_v1", "mine_v2"}
    assert len({(event.unit, event.variant) for event, _ in found}) == 40, "a user has one variant"
    assert not any(event.error or shadow.error for event, _ in found for shadow in event.shadows)


def test_a_request_without_an_answer_is_an_error_that_says_what_is_missing() -> None:
    event, took = made({"something": 1.0})[0]
    assert event.error is not None
    assert "['prediction'] are missing" in event.error
    assert took == 0.0, "the loop's own clock, which stands still here"


@pytest.mark.parametrize(("features", "took"), [([1.0], None), ({"prediction": 1.0}, None)])
def test_who_says_no_time_is_timed_by_the_loop(features: list[float] | dict[str, float], took: float | None) -> None:
    assert response_time_of(features) == took


@pytest.mark.parametrize("took", [1e160, 1e308, -1e308])
def test_a_response_time_that_cannot_be_summed_counts_as_none_and_ends_no_worker(took: float) -> None:
    rule = Rule(guardrails=(Guardrail(metric="response_time", margin=1.2),))
    watched = msgspec.structs.replace(TRIAL, rule=rule, epoch_s=10, grace_s=0)
    log = Log(1)
    log.append(
        REQUESTS, 0, [Row(None, encode(control(Served(champion="lstm_v1", experiment=watched), MODEL, START, "c")), [])]
    )
    for second in range(30):
        time = START + second * 1000
        tick = Row(None, encode(Ticked(id="t", time=time, key="_clock")), [])
        request = PredictionRequested(
            id=f"r{second}", time=time, key="k", model=MODEL,
            features={"prediction": 1.0, "response_time_ms": took if second % 7 == 0 else 10.0},
        )  # fmt: skip
        log.append(REQUESTS, 0, [tick, Row(None, encode(request), [])], START)
        for topic in (OUTCOMES, METRICS):
            log.append(topic, 0, [tick], START)
    Runner(log, loop(Lines(), controls=False)).run()
    told = [msgspec.json.decode(value, type=EvidenceReported) for value in log.values(EVIDENCE)]
    sums = [each["response_time"] for report in told for of in report.phases.values() for each in of.ratios.values()]
    assert sum(each.n for each in sums) == 17
    assert {each.mean_x for each in sums} == {10.0}
