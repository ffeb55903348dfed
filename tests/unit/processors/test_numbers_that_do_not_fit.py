"""Numbers that no sum and no JSON can hold: refused with the reason, or an error of the version that gave them."""

import json
from math import inf, nan

import numpy as np
import pytest
from numpy.typing import NDArray

from evenhand.codec import decode
from evenhand.errors import InvalidEvent
from evenhand.events import MetricObserved, OutcomeObserved, PredictionRequested
from evenhand.finite import LARGEST
from evenhand.offline import MemoryRecord
from evenhand.processors.inference import Answer, ask
from evenhand.topics import DEAD_LETTERS, METRICS, OUTCOMES, REQUESTS
from tests.unit.processors.play import START, Line, decisions, play, served, story, trial, write


def record(topic: str, value: float) -> bytes:
    """What somebody else's client may send."""
    kind, about = ("OutcomeObserved", "request_id") if topic == OUTCOMES else ("MetricObserved", "name")
    event = {"type": kind, about: "r1", "id": "bad", "time": START + 50_000, "key": "k1", "value": value}
    return json.dumps(event).encode()


@pytest.mark.parametrize("topic", [OUTCOMES, METRICS])
def test_a_value_that_sums_cannot_hold_is_refused(topic: str) -> None:
    for value in (LARGEST, -LARGEST, 0.0):
        assert decode(topic, record(topic, value)).value == value
    for value in (1.7e308, -1e51):
        with pytest.raises(InvalidEvent, match=r"value is .*: at most 1e\+50 is taken"):
            decode(topic, record(topic, value))


def test_the_loop_goes_on_beside_numbers_of_any_size() -> None:
    told = story(1, 100, 80)
    for number in range(2):
        each = MetricObserved(id=f"m{number}", time=START + 50_000, key="k1", name="x", model="line", value=LARGEST)
        told.append((START + 50_000, METRICS, each))
    for number, value in enumerate((1e200, LARGEST)):  # the answers are as large
        request = PredictionRequested(id=f"b{number}", time=START + 50_000, key="k1", model="line", features=[value])
        truth = OutcomeObserved(id=f"o{number}", time=START + 52_000, key="k1", value=1.0, request_id=f"b{number}")
        told += [(START + 50_000, REQUESTS, request), (START + 52_000, OUTCOMES, truth)]
    log = write(told, served(trial()), 1, 120)
    for topic in (OUTCOMES, METRICS):
        log.records[topic, 0].insert(60, MemoryRecord(60, START, None, record(topic, 1.7e308), []))
    play(log)
    assert decisions(log)
    assert len(log.values(DEAD_LETTERS)) == 2


class Odd(Line):
    """Answers whatever it is told to."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(1.0)
        self.answer = answer

    def predict(self, rows: NDArray[np.float64], horizon: int) -> Answer:
        return self.answer


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (Answer([[inf]], [[0.5]]), "not finite numbers"),
        (Answer([[-1e51]], [[0.5]]), "not finite numbers"),
        (Answer([[1.0]], [[nan]]), "a confidence of"),
        (Answer([[]], [[]]), "0 steps, 1 were asked"),
        (Answer([[1.0, 2.0]], [[0.5, 0.5]]), "2 steps, 1 were asked"),
        (Answer([[1.0]], []), "1 rows were asked"),
        (Answer([], []), "0 are answered"),
    ],
)
def test_what_is_no_answer_is_an_error_of_the_version(answer: Answer, said: str) -> None:
    (found,) = ask(Odd(answer), np.ones((1, 1)), 1)
    assert found.error is not None
    assert said in found.error
    assert not found.values


def test_an_interval_without_an_end_is_left_out() -> None:
    (found,) = ask(Odd(Answer([[1.0]], [[0.5]], [[(-inf, inf)]])), np.ones((1, 1)), 1)
    assert found.error is None
    assert found.values == (1.0,)
    assert found.intervals is None


def test_a_version_that_answers_too_few_rows_is_asked_one_by_one() -> None:
    found = ask(Odd(Answer([[1.0]], [[0.5]])), np.ones((3, 1)), 1)
    assert [each.values for each in found] == [(1.0,)] * 3
