"""Response times on the loop: a challenger whose tail is slow is stopped, and its state survives a restart."""

import random
from hashlib import blake2b

import msgspec
import pytest

from evenhand.events import DecisionMade
from evenhand.experiments.assignment import Ring
from evenhand.offline import Runner
from evenhand.processors.base import Processor
from evenhand.processors.inference import Inference
from evenhand.processors.posterior import Trial
from tests.unit.processors.play import Lines, decisions, judged, served, story, trial, write
from tests.unit.processors.test_fair_trial import again
from tests.unit.processors.test_reported_metrics import trial_of

RING = Ring(trial())


def slow_tail(request_id: str) -> float:
    """About 20 ms for everybody; one answer in five of the challenger's takes ten times as long."""
    r = random.Random(int.from_bytes(blake2b(request_id.encode(), digest_size=8).digest(), "big"))
    slow = RING.assign(request_id).name == "new" and r.random() < 0.2
    return r.lognormvariate(3, 0.3) * (10 if slow else 1)


@pytest.mark.parametrize(("metric", "action"), [("response_time_p95", "stop_harm"), ("response_time_log", None)])
def test_a_slow_tail_breaches_the_tail_and_not_the_log_scale(metric: str, action: str | None) -> None:
    def inference(partition: int, partitions: int) -> Processor:
        return Inference(partition, partitions, Lines(), clock=lambda: 0.0, recorded=slow_tail)

    makes = judged(Lines())
    makes[2] = inference
    guarded = trial_of(guardrails=[{"metric": metric, "margin": 2.0}], minimum_sample_size=10**9)
    log = write(story(1, 3000, 240), served(guarded), 1)
    runner = Runner(log, makes)
    runner.run()
    found = [msgspec.json.decode(value, type=DecisionMade) for value in decisions(log)]
    ends = [each for each in found if each.action not in {"continue", "no_data"}]
    assert [each.action for each in ends] == ([] if action is None else [action])
    if ends:
        assert "guardrail response_time_p95 is breached: slower than 3" in ends[0].reasons[0]
    held = [row for work in runner.work for key, row in work.rows.items() if key.startswith(b"t/trial")]
    assert any(msgspec.json.decode(row, type=Trial).standing.slow.limit is not None for row in held) == bool(ends)
    assert again(log, makes, seed=3) == decisions(log)
