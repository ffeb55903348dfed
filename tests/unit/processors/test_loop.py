"""The loop in memory: whatever the interleaving, the batches and the crashes, the decisions are the same bytes."""

from collections import Counter
from typing import cast

import msgspec
import numpy as np
import pytest

from evenhand.codec import encode
from evenhand.events import (
    CommandGiven,
    DecisionMade,
    EvidenceReported,
    Moments,
    PredictionMade,
    PredictionRequested,
    PredictionScored,
    Served,
)
from evenhand.experiments.evidence import merge
from evenhand.offline import Log, Runner, state_of
from evenhand.processors.attribution import Attribution
from evenhand.processors.base import Row
from evenhand.processors.counts import Counts
from evenhand.topics import COMMANDS, DEAD_LETTERS, EVIDENCE, OUTCOMES, PREDICTIONS, REQUESTS, SCORED
from tests.unit.processors.play import START, decisions, play, served, story, trial, write


def books(runner: Runner) -> Counts:
    """The counts of all partitions together."""
    total: Counter[str] = Counter()
    for processor in state_of(runner, "attribution").values():
        total.update(msgspec.structs.asdict(cast("Attribution", processor).counts))
    return Counts(**total)


def summary(log: Log) -> list[tuple[int, str]]:
    return [(d.epochs[0], d.action) for d in (msgspec.json.decode(v, type=DecisionMade) for v in decisions(log))]


@pytest.mark.parametrize("seed", range(4))
def test_no_interleaving_no_crash_and_no_batch_size_changes_a_decision(seed: int) -> None:
    told, first = story(seed), served(trial())
    log = write(told, first, seed)
    reference = play(log)
    expected, counts = decisions(log), books(reference)
    assert len(expected) >= 10
    assert {action for _, action in summary(log)} >= {"continue", "promote"}
    for other in range(6):
        again = write(told, first, seed)
        runner = play(again, seed=other, crash=0.3 if other % 2 else 0.0, batch=1 + other * 20)
        assert decisions(again) == expected
        assert books(runner).matured == counts.matured
        assert books(runner).never == counts.never
        assert books(runner).late == counts.late


def test_the_books_balance_and_agree_with_the_users_own_events() -> None:
    told = story(5)
    log = write(told, served(trial()), 5)
    counts = books(play(log))
    requested = {event.id for _, _, event in told if isinstance(event, PredictionRequested)}
    assert counts.predictions + counts.errors == len(requested)
    assert counts.predictions == counts.matured + counts.pending + counts.never
    assert counts.pending == 0, "all waits are over"
    scored = {msgspec.json.decode(v, type=PredictionScored).request_id for v in scored_values(log)}
    assert counts.matured == len(scored)
    assert counts.late > 0
    assert counts.duplicates > 0
    assert counts.conflicting > 0


def scored_values(log: Log) -> list[bytes]:
    return [v for v in log.values(SCORED) if b'"type":"PredictionScored"' in v]


def test_evidence_equals_numpy_over_the_predictions_and_the_outcomes() -> None:
    told = [item for item in story(7) if not item[2].id.startswith("c")]
    log = write(told, served(trial(minimum_sample_size=10**9)), 7)
    play(log)
    made = {}
    for value in log.values(PREDICTIONS):
        if b'"type":"PredictionMade"' in value:
            event = msgspec.json.decode(value, type=PredictionMade)
            made[event.request_id] = event
    clusters: dict[tuple[int, str], list[float]] = {}
    grace, epoch = 5_000, 10_000
    for value in {msgspec.json.decode(v, type=PredictionScored).id: v for v in reversed(scored_values(log))}.values():
        pair = msgspec.json.decode(value, type=PredictionScored)
        if pair.delay_ms <= grace:
            event = made[pair.request_id]
            values = {shadow.variant: shadow.values[0] for shadow in event.shadows} | {event.variant: event.values[0]}
            difference = (values["new"] - pair.outcome) ** 2 - (values["old"] - pair.outcome) ** 2
            clusters.setdefault((pair.time // epoch, pair.cluster), []).append(difference)
    merged = Moments()
    for report in {v: msgspec.json.decode(v, type=EvidenceReported) for v in log.values(EVIDENCE)}.values():
        if report.variants:
            merged = merge(merged, report.variants["new"].paired["squared_error"])
    first = {of: min(epoch for epoch, other in clusters if other == of) for _, of in clusters}
    means = np.array([np.mean(found) for (epoch, of), found in clusters.items() if epoch == first[of]])
    assert merged.n == len(means) > 100
    assert merged.mean == pytest.approx(means.mean(), rel=1e-9)
    assert merged.m2 == pytest.approx(((means - means.mean()) ** 2).sum(), rel=1e-9)


def test_a_version_that_fails_one_request_in_ten_is_stopped_for_harm() -> None:
    log = write(story(3), served(trial("1.2.0", minimum_sample_size=10**9)), 3)
    play(log)
    assert "stop_harm" in {action for _, action in summary(log)}


def test_a_twin_is_never_promoted() -> None:
    log = write(story(3), served(trial("1.0.0")), 3)
    play(log)
    assert {action for _, action in summary(log)} == {"continue", "no_data"}


def test_an_unknown_version_is_an_error_that_the_user_sees() -> None:
    log = write(story(3, requests=20), served(trial("9.9.9")), 3)
    runner = play(log)
    made = [msgspec.json.decode(v, type=PredictionMade) for v in log.values(PREDICTIONS) if b"PredictionMade" in v]
    failed = {event.request_id for event in made if event.error is not None}
    assert all("no version 9.9.9" in (event.error or "") for event in made if event.variant == "new")
    assert 0 < len(failed) < 20
    assert books(runner).errors == len(failed)


def test_poison_goes_to_the_dead_letters_and_its_neighbours_go_on() -> None:
    log = Log(3)
    poison = [b"", b"{", b"\xff\xfe", b'{"type":"Nothing"}', b'{"type":"PredictionRequested","id":"a"}', None]
    for topic in (REQUESTS, OUTCOMES):
        log.append(topic, 0, [Row(None, value, []) for value in poison])
    good = write(story(1, requests=30), served(trial()), 1)
    for place, records in good.records.items():
        log.append(*place, [Row(r.key, r.value, r.headers) for r in records])
        if place[0] in (REQUESTS, OUTCOMES) and place[1] == 0:
            log.append(*place, [Row(None, value, []) for value in poison])
    runner = play(log)
    assert len(log.values(DEAD_LETTERS)) == 4 * len(poison)
    assert books(runner).predictions == 30


def test_after_a_promotion_the_new_version_serves_alone() -> None:
    log = Log(3)
    told = write(story(2), served(trial()), 2)
    command = CommandGiven(
        id="first", time=START, key="line", model="line", command="apply_configuration", by="me",
        served=Served(champion="1.0.0", wait_s=30, experiment=trial()),
    )  # fmt: skip
    log.append(COMMANDS, 1, [Row(None, encode(command), [])])
    play(log, controls=True)
    for place, records in told.records.items():
        log.append(
            *place, [Row(r.key, r.value, r.headers) for r in records if b"ControlChanged" not in (r.value or b"")]
        )
    play(log, controls=True)
    assert summary(log)[-1][1] == "promote"
    ended = {v for v in log.values(REQUESTS) if b'"ended":"trial"' in v}
    assert len(ended) == 1
    assert b'"champion":"1.1.0"' in ended.pop()
