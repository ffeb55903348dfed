"""Metrics that users report decide a trial, or guard it: joined in either order, by request or by unit, on the loop."""

import random
from typing import Any

import msgspec
import numpy as np
import pytest

from evenhand.codec import encode
from evenhand.errors import InvalidConfiguration
from evenhand.events import (
    DecisionMade,
    Event,
    EvidenceReported,
    MetricAttributed,
    MetricObserved,
    Phase,
    PredictionMade,
    PredictionRequested,
)
from evenhand.experiments.assignment import Ring
from evenhand.experiments.evidence import merge_phases
from evenhand.experiments.experiment import Experiment
from evenhand.experiments.user_metric import UserMetric
from evenhand.offline import Log, MemoryRecord, Runner
from evenhand.processors.attribution import Attribution
from evenhand.processors.pairs import Prediction, unpack_prediction
from evenhand.topics import EVIDENCE, METRICS, OBSERVATIONS, PREDICTIONS, SCORED
from tests.unit.processors.play import START, Lines, decisions, judged, play, served, story, trial, write
from tests.unit.processors.test_fair_trial import again

CLICKS = UserMetric(name="clicks", per="requests", better="higher")
REVENUE = UserMetric(name="revenue")
Told = list[tuple[float, str, Event]]


def trial_of(*metrics: UserMetric, success: str = "squared_error", **rule: Any) -> Experiment:
    declared = msgspec.to_builtins(trial())
    own = {"metrics": msgspec.to_builtins(metrics), "success_metric": success, "rule": {**declared["rule"], **rule}}
    return msgspec.convert({**declared, **own}, Experiment)


def reporting(seed: int, rates: dict[str, float], users: int | None = None, requests: int = 1500) -> Told:
    """A story whose users click; some reports are early, some twice, some late. A user's reports name the user."""
    r, ring, told = random.Random(seed), Ring(trial()), Told()
    asked: set[str] = set()
    for arrival, topic, written in story(seed, requests, 240):
        if not isinstance(written, PredictionRequested):
            told.append((arrival, topic, written))
            continue
        user = None if users is None else f"user-{int(written.id[1:]) % users}"
        event = msgspec.structs.replace(written, unit=user)
        told.append((arrival, topic, event))
        if event.id in asked:
            continue
        asked.add(event.id)
        variant = ring.assign(user or event.id).name
        if r.random() < rates[variant]:
            when = event.time + r.randint(0, 4000)
            about = {"request_id": event.id} if user is None else {"unit": user}
            click = MetricObserved(id=f"m{event.id}", time=when, key=event.key, name="clicks", value=1.0, **about)
            for _ in range(1 + (r.random() < 0.1)):
                told.append((when + r.expovariate(1 / 1500) - 500 * (r.random() < 0.2), METRICS, click))
    return told


def phase(log: Log) -> Phase:
    total: dict[str, Phase] = {}
    for report in {v: msgspec.json.decode(v, type=EvidenceReported) for v in log.values(EVIDENCE)}.values():
        total = merge_phases(total, report.phases)
    (found,) = total.values()
    return found


def made(log: Log) -> list[DecisionMade]:
    return [msgspec.json.decode(value, type=DecisionMade) for value in decisions(log)]


@pytest.mark.parametrize("users", [None, 307])
def test_a_variant_that_users_click_more_often_is_promoted_by_that(users: int | None) -> None:
    told = reporting(1, {"old": 0.3, "new": 0.6}, users)
    experiment = trial_of(CLICKS, success="clicks", maximum_sample_size=1000)
    log = write(told, served(experiment), 1)
    play(log)
    (promoted,) = [each for each in made(log) if each.action == "promote"]
    assert "clicks" in promoted.reasons[0]
    observed = promoted.summary["new"].observed_difference
    assert observed is not None
    assert observed < -0.15, "less is better in every difference, so more clicks are negative"
    assert again(log, judged(Lines()), seed=2) == decisions(log)


def test_equal_clicks_promote_nobody_and_fewer_are_a_breach() -> None:
    log = write(reporting(2, {"old": 0.4, "new": 0.4}), served(trial_of(CLICKS, success="clicks")), 2)
    play(log)
    assert "promote" not in {each.action for each in made(log)}
    guard: dict[str, Any] = {
        "guardrails": [{"metric": "clicks", "margin": 1.1, "harm": 1.5}],
        "minimum_sample_size": 10**9,
    }
    log = write(reporting(3, {"old": 0.6, "new": 0.2}), served(trial_of(CLICKS, **guard)), 3)
    play(log)
    (stopped,) = [each for each in made(log) if each.action == "stop_harm"]
    assert "guardrail clicks is breached" in stopped.reasons[0]


def test_the_sums_are_what_users_reported() -> None:
    told = reporting(4, {"old": 0.3, "new": 0.6})
    log = write(told, served(trial_of(CLICKS, minimum_sample_size=10**9)), 4)
    play(log)
    found = phase(log).ratios
    times: dict[str, list[float]] = {}
    for arrival, _, event in told:
        times.setdefault(event.id, []).append(arrival - event.time)
    in_time = {of for of, delays in times.items() if min(delays) < 5500}
    ring = Ring(trial())
    for name in ("old", "new"):
        clicks = sum(of[0] == "m" and ring.assign(of[1:]).name == name and of[1:] in in_time for of in in_time)
        sums = found[name]["clicks"]
        assert sums.n * sums.mean_x == pytest.approx(clicks, abs=6)
        assert 0.25 < sums.mean_x / sums.mean_y < 0.65


@pytest.mark.parametrize("seed", range(3))
def test_no_order_of_arrival_changes_what_a_report_counts_for(seed: int) -> None:
    told = reporting(seed, {"old": 0.5, "new": 0.5}, users=211, requests=500)
    log = write(told, served(trial_of(CLICKS, REVENUE, success="clicks")), seed)
    play(log)
    expected = decisions(log)
    assert b"MetricAttributed" in b"".join(log.values(SCORED))
    for other in range(3):
        assert again(log, judged(Lines()), seed=other) == expected
    last = dict[str, MetricAttributed]()
    for value in log.values(SCORED):
        if b'"MetricAttributed"' in value:
            event = msgspec.json.decode(value, type=MetricAttributed)
            last[event.id] = max(event, last.get(event.id, event), key=lambda e: (e.predicted_time, e.request_id))
    assert all(event.predicted_time <= event.time for event in last.values())


def test_ratios_of_two_reports_and_what_a_report_must_say() -> None:
    told = Told()
    r, ring = np.random.default_rng(5), Ring(trial())
    for arrival, topic, event in story(5, 900, 240):
        told.append((arrival, topic, event))
        if isinstance(event, PredictionRequested):
            spent = float(r.exponential(2 if ring.assign(event.id).name == "old" else 1))
            for name, value in (("cost", spent), ("orders", 1.0)):
                report = MetricObserved(
                    id=f"{name}-{event.id}", time=event.time, key=event.key, name=name, value=value,
                    request_id=event.id, model="line",
                )  # fmt: skip
                told.append((arrival, METRICS, report))
                nobodys = msgspec.structs.replace(report, id=f"no-{report.id}", request_id=None)
                others = msgspec.structs.replace(report, id=f"other-{report.id}", model="else", value=99.0)
                told += [(arrival, METRICS, nobodys), (arrival, METRICS, others)]
    cost = UserMetric(name="cost_per_order", reported="cost", per="orders")
    log = write(told, served(trial_of(cost, success="cost_per_order", maximum_sample_size=600)), 5)
    play(log)
    assert [each.action for each in made(log) if each.action not in {"continue", "no_data"}] == ["promote"]
    assert phase(log).ratios["old"]["cost_per_order"].mean_x == pytest.approx(2.0, rel=0.15)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"metrics": (CLICKS, CLICKS)}, "names of their own"),
        ({"metrics": (UserMetric(name="error_rate"),)}, "names of their own"),
        ({"success_metric": "clicks"}, "no metric is named 'clicks'"),
        ({"rule": {"guardrails": [{"metric": "clicks", "margin": 1.1}]}}, "what users report is named under metrics"),
    ],
)
def test_a_metric_that_nobody_declared_is_refused(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises((InvalidConfiguration, msgspec.ValidationError), match=said):
        msgspec.convert({**msgspec.to_builtins(trial()), **msgspec.to_builtins(wrong)}, Experiment)


def test_reports_are_kept_over_a_restart() -> None:
    told = reporting(7, {"old": 0.5, "new": 0.5}, users=101, requests=200)
    log = write(told, served(trial_of(CLICKS, success="clicks")), 7)
    runner = Runner(log, judged(Lines()))
    runner.run(random.Random(1), 0.4, 40)
    for work in runner.work:
        fresh = work._make(work.processor.partition, log.partitions)
        fresh.load(work.rows.items())
        assert dict(fresh.rows()).keys() >= {key for key in work.rows if not key.startswith(b"e/")}


@pytest.mark.parametrize("order", ["as they come", "reports first", "predictions first"])
def test_a_unit_with_thousands_of_predictions_and_reports_costs_a_look_at_few_of_them_each(
    order: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each looked at all others once: 4,000 of one unit took half a minute, and a watchdog ends such a worker."""
    looked = 0

    def counting(data: bytes) -> Prediction:
        nonlocal looked
        looked += 1
        return unpack_prediction(data)

    monkeypatch.setattr("evenhand.processors.reported.unpack_prediction", counting)
    count, control = 2000, served(trial_of(CLICKS))
    made = [
        PredictionMade(
            id=f"p{i}", time=START + i * 10, key=f"k{i % 2}", request_id=f"r{i}", model="line", unit="everybody",
            variant="old", version="1.0.0", values=(1.0,), experiment="trial",
        )
        for i in range(count)
    ]  # fmt: skip
    said = [
        MetricObserved(id=f"m{i}", time=START + i * 10 + 5, key=f"k{i % 2}", name="clicks", value=1.0, unit="everybody")
        for i in range(count)
    ]
    attribution, found = Attribution(0, 1), dict[str, MetricAttributed]()
    slices = [
        (topic, events[at : at + 250])
        for at in range(0, count, 250)
        for topic, events in ((PREDICTIONS, made), (OBSERVATIONS, said))
    ]
    if order != "as they come":
        slices.sort(key=lambda each: (each[0] == PREDICTIONS) == (order == "reports first"))
    for number, (topic, events) in enumerate([(PREDICTIONS, [control]), *slices]):
        records = [
            MemoryRecord(number * 1000 + i, 0, None, encode(event), [("seen_at", b"%d" % event.time)])
            for i, event in enumerate(events)
        ]
        for row in attribution.apply(topic, records).sends.get((SCORED, 0), []):
            if b'"MetricAttributed"' in (row.value or b""):
                each = msgspec.json.decode(row.value or b"", type=MetricAttributed)
                if each.id not in found or each.predicted_time > found[each.id].predicted_time:
                    found[each.id] = each
    assert sorted(each.request_id for each in found.values()) == sorted(f"r{i}" for i in range(count))
    assert looked < 10 * count * (8 if order == "reports first" else 1)
