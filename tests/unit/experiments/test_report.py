"""A report says what was decided and why, from the evidence alone, and notices where that is gone."""

import re
import xml.etree.ElementTree as ET

import msgspec
import pytest

from evenhand.cli.report import ended
from evenhand.codec import decoder, encode
from evenhand.envelope import header
from evenhand.events import DecisionMade, EvidenceReported, Moments, VariantEvidence
from evenhand.experiments.decision import TERMINAL
from evenhand.experiments.experiment import Rule
from evenhand.experiments.report import Decided, Place, Report, report
from evenhand.experiments.report_html import html
from evenhand.experiments.report_text import markdown
from evenhand.offline import MemoryRecord, Runner, loop
from evenhand.processors.posterior import Posterior
from evenhand.topics import DECISIONS, EVIDENCE
from tests.unit.processors.play import PARTITIONS, START, Lines, served, story, trial, write


@pytest.fixture(scope="module")
def log() -> tuple[list[EvidenceReported], list[Decided]]:
    """Evidence and decisions of a challenger that is better, from the loop in memory."""
    written = write(story(1, requests=800), served(trial()), 1)
    Runner(written, loop(Lines())).run()
    evidence, decided = [], []
    for partition in range(PARTITIONS):
        evidence += [
            decoder(EvidenceReported).decode(record.value or b"") for record in written.records[EVIDENCE, partition]
        ]
        for record in written.records[DECISIONS, partition]:
            places = msgspec.json.decode(header(record, "evidence") or b"[]", type=list[Place])
            decided.append(Decided(decoder(DecisionMade).decode(record.value or b""), places))
    return evidence, decided


@pytest.fixture(scope="module")
def found(log: tuple[list[EvidenceReported], list[Decided]]) -> Report:
    made = report("trial", *log)
    assert made is not None
    return made


def test_it_is_what_the_judge_decided_and_says_where_that_lies(
    log: tuple[list[EvidenceReported], list[Decided]], found: Report
) -> None:
    (last,) = [each for each in log[1] if each.decision.action in TERMINAL]
    assert found.agrees
    assert (found.state, found.variant) == ("promoted", "new")
    assert found.reasons == last.decision.reasons
    assert {place[0] for place in found.evidence} == {"predictions.v1", "scored-predictions.v1", "evidence.v1"}
    assert found.evidence_digest == last.decision.evidence_digest
    assert [each.name for each in found.challengers] == ["new"]
    assert found.challengers[0].posterior == last.decision.summary["new"]
    assert found.challengers[0].certified == "better"
    assert found.challengers[0].guardrails["error_rate"].state == "safe"
    assert found.mismatch is None


def test_the_books_of_each_variant_add_up(found: Report) -> None:
    for arm in found.arms:
        assert arm.predictions == arm.errors + arm.matured + arm.open
        assert arm.matured > 100
    assert [arm.served for arm in found.arms] == [
        sum(each.served[arm.name] for each in found.exposures) for arm in found.arms
    ]
    assert 0.5 < found.arms[0].served / sum(arm.served for arm in found.arms) < 0.7
    assert sum(arm.share for arm in found.arms) == 1.0


def test_progress_speaks_of_requests_clusters_and_dates(found: Report) -> None:
    of = found.challengers[0].progress
    assert of.requests == found.arms[0].predictions
    assert of.clusters == of.observations == found.challengers[0].posterior.clusters
    assert of.effective == pytest.approx(of.clusters), "nothing overlaps"
    days = (found.reached_ms - found.began_ms) / 86_400_000
    assert of.requests_per_day == pytest.approx(of.requests / days)
    assert of.planned is not None
    assert of.expected_ms is not None
    assert of.planned_ms is not None
    assert of.observations_per_day is not None
    assert found.reached_ms <= of.expected_ms <= of.planned_ms
    left = max(0, of.planned - of.observations)
    assert of.planned_ms == pytest.approx(found.reached_ms + left / of.observations_per_day * 86_400_000, abs=2)


def test_repeats_and_other_experiments_are_nothing_to_it(
    log: tuple[list[EvidenceReported], list[Decided]], found: Report
) -> None:
    evidence, decided = log
    others = [msgspec.structs.replace(each, subject="another", variants={}) for each in evidence]
    assert report("trial", [*others, *evidence, *evidence], [*decided, *decided[::-1]]) == found
    assert report("another", evidence, decided) is None


def test_evidence_that_is_gone_is_noticed(log: tuple[list[EvidenceReported], list[Decided]]) -> None:
    evidence, decided = log
    held = next(each for each in evidence if each.variants)
    made = report("trial", [each for each in evidence if each is not held], decided)
    assert made is not None
    assert not made.agrees
    assert "part of it is gone from the log" in markdown(made)


def test_too_little_is_said_to_be_too_little(log: tuple[list[EvidenceReported], list[Decided]]) -> None:
    evidence, decided = log
    early = sorted(decided, key=lambda each: each.decision.epochs)[:4]
    made = report("trial", evidence, early)
    assert made is not None
    assert made.state == "running"
    assert "Not enough data: 150 clusters" in markdown(made)


def test_a_page_has_what_users_of_experiments_look_for(found: Report) -> None:
    text, page = markdown(found), html(found)
    for part in (
        "State: promoted (new).", "old (baseline)", "chance to win", "risk if chosen", "change, shrunken",
        "at every look", "No mismatch is certified", "Guardrails", "first offset", "certified better at 0.95",
    ):  # fmt: skip
        assert part in text
        assert part in page
    tables = re.findall(r"^\|(?:---\|)+$", text, re.MULTILINE)
    assert len(tables) == 7
    for line in text.splitlines():
        assert not line.startswith("|") or line.endswith("|")
    for figure in re.findall(r"<svg.*?</svg>", page, re.DOTALL):
        ET.fromstring(figure)  # noqa: S314 - our own
    assert page.count("<svg") == 2
    assert "below zero is better" in page
    assert "<script" not in page


def epoch(subject: str, number: int, difference: float) -> EvidenceReported:
    """All evidence of a small experiment, in one epoch."""
    rule = Rule(minimum_sample_size=100, minimum_detectable_effect=0.3, prior="past_experiments")
    n, spread = 400, 0.25 * 399
    return EvidenceReported(
        id=f"{subject}-{number}", time=START + 10_000 * (number + 1), key="line", model="line", subject=subject,
        experiment=msgspec.structs.replace(trial(), name=subject, rule=rule), partition=0, first_epoch=number,
        last_epoch=number, epoch_s=10,
        variants={
            "old": VariantEvidence(predictions=n, losses={"squared_error": Moments(n, 1.0, spread)}),
            "new": VariantEvidence(
                predictions=n, losses={"squared_error": Moments(n, 1.0 + difference, spread)},
                paired={"squared_error": Moments(n, difference, spread)},
            ),
        },
    )  # fmt: skip


def test_a_prior_that_past_experiments_have_earned_is_judged_with_again() -> None:
    first = START // 10_000
    effects = [0.02, -0.03, 0.01, -0.02, 0.03, -0.01, 0.02, -0.04, 0.04]
    past = [epoch(f"past-{k}", first + k, effect) for k, effect in enumerate(effects)]
    late = [epoch("stopped", number, effect) for number, effect in ((first + 9, 0.01), (first + 50, 0.4))]
    long = msgspec.structs.replace(late[0].experiment.rule, early_stopping_enabled=False, maximum_sample_size=10**6)
    stopped = msgspec.structs.replace(late[0].experiment, rule=long)
    late = [msgspec.structs.replace(each, experiment=stopped) for each in late]
    last, judge = epoch("last", first + 50, -0.06), Posterior(0, 1)
    decided, place = [], 0
    # Outcomes of one that somebody has stopped go on coming, until after the first look at the next one.
    for batch in ([*past, late[0]], [last], [late[1]]):
        rows = [MemoryRecord(place + k, 0, b"line", encode(event), []) for k, event in enumerate(batch)]
        sent = judge.apply(EVIDENCE, rows).sends[DECISIONS, 0]
        decided += [Decided(decoder(DecisionMade).decode(row.value or b"")) for row in sent]
        place += len(batch)
    made, known = report("last", [*past, *late, last], decided), judge.trials["last"].standing.prior_sd
    assert made is not None
    assert made.agrees
    assert known is not None
    (decision,) = [each.decision for each in decided if each.decision.subject == "last"]
    assert decision.prior_sd == known
    assert made.challengers[0].posterior.credible_interval == decision.summary["new"].credible_interval
    without = [Decided(msgspec.structs.replace(each.decision, prior_sd=None)) for each in decided]
    sceptical = report("last", [last], without)
    assert sceptical is not None
    assert not sceptical.agrees, "another prior is another estimate"
    shrunken = [each.challengers[0].posterior.mean_difference or 0.0 for each in (made, sceptical)]
    assert abs(shrunken[0]) < 0.8 * abs(shrunken[1])


def test_phases_stand_in_the_order_in_which_they_began_and_the_last_is_the_traffic(
    log: tuple[list[EvidenceReported], list[Decided]],
) -> None:
    evidence, decided = log
    half = sorted({each.last_epoch for each in evidence if each.variants})[3]
    ramped = [
        msgspec.structs.replace(
            each,
            phases={
                "z" if each.last_epoch < half else "a": msgspec.structs.replace(
                    phase, weights=phase.weights if each.last_epoch < half else {"old": 1, "new": 9}
                )
                for phase in each.phases.values()
            },
        )
        for each in evidence
    ]
    made = report("trial", ramped, decided)
    assert made is not None
    assert made.phases[0].weights == {variant.name: variant.weight for variant in trial().variants}
    assert [phase.weights for phase in made.phases[1:]] == [{"old": 1, "new": 9}]
    assert [arm.share for arm in made.arms] == [0.1, 0.9]


def test_one_that_no_longer_runs_and_decided_nothing_was_ended(found: Report) -> None:
    assert ended(found).state == "promoted"
    assert ended(msgspec.structs.replace(found, state="running, no data")).state == "ended by a command"
