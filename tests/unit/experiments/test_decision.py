"""What is decided; `test_configuration_matters` has what each setting changes."""

from typing import Any

import msgspec
import numpy as np
import pytest

from evenhand.errors import InvalidConfiguration
from evenhand.events import Moments, Phase, VariantEvidence
from evenhand.experiments import comparison, simulate
from evenhand.experiments.comoments import comoments
from evenhand.experiments.decision import TERMINAL, Verdict, decide
from evenhand.experiments.evidence import Exposure, Pair, fold, moments
from evenhand.experiments.experiment import Experiment, Guardrail, Rule, Variant
from evenhand.experiments.sequential import half_width, planned_size
from evenhand.experiments.standing import Standing, absorb

EPOCH_S = 3600


def experiment(challengers: str = "b", block_s: int = 0, **rule: Any) -> Experiment:
    return Experiment(
        name="t", model="m", champion="a", epoch_s=EPOCH_S, block_s=block_s,
        variants=tuple(Variant(name=name, version="1.0.0", weight=1) for name in "a" + challengers),
        rule=msgspec.convert({"minimum_detectable_effect": 0.1, **rule}, Rule),
    )  # fmt: skip


def evidence(
    difference: float, n: int = 500, sd: float = 0.5, errors: int = 0, times_ms: float = 100.0, returned: int = 1000
) -> Standing:
    """A champion that loses 1 on average, and a challenger that loses that much more, on n clusters, 2 n requests.

    Of 1000 requests that were due, so many outcomes came.
    """
    times = {"response_time": comoments([100.0, 102.0, 98.0] * 100, [1.0] * 300)}
    mine = {"response_time": comoments([times_ms, times_ms + 2, times_ms - 2] * 100, [1.0] * 300)}
    spread = sd * sd * (n - 1)
    return Standing(
        variants={
            "a": VariantEvidence(predictions=2 * n, losses={"squared_error": Moments(n, 1.0, spread)}, ratios=times),
            "b": VariantEvidence(
                predictions=2 * n, errors=errors, ratios=mine,
                losses={"squared_error": Moments(n, 1.0 + difference, spread)},
                paired={"squared_error": Moments(n, difference, spread)},
            ),
        },
        phases={
            "c": Phase(
                weights={"a": 1, "b": 1}, due={"a": 500, "b": 500}, returned={"a": returned // 2, "b": returned // 2}
            )
        },
        reached_ms=n * EPOCH_S * 1000,
    )  # fmt: skip


def decided(standing: Standing, **rule: Any) -> Verdict:
    return decide(experiment(**rule), standing)


def test_better_is_promoted_worse_is_stopped_and_neither_goes_on() -> None:
    promoted = decided(evidence(-0.15))
    assert (promoted.action, promoted.variant) == ("promote", "b")
    reason = promoted.reasons[0]
    for part in ("certified better", "confidence sequence", "posterior probability", "of 197 planned"):
        assert part in reason, "it names both numbers"
    shrunken, observed = promoted.summary["b"].mean_difference, promoted.summary["b"].observed_difference
    assert shrunken is not None
    assert observed is not None
    assert observed < shrunken < 0, "the estimate is shrunken"
    assert decided(evidence(0.15)).action == "stop_harm"
    assert decided(evidence(-0.02, n=210, sd=2.0)).action == "continue"
    assert decided(evidence(0.0, n=50)).reasons == ("b: 50 clusters matured, 200 are wanted",)
    assert decided(Standing()).reasons == ("b: no difference to the champion on 0 clusters so far",)
    assert decided(evidence(0.0, sd=0.0)).action == "continue", "a twin differs in nothing"


HUGE = {"maximum_sample_size": 100_000}


def test_the_confidence_of_an_early_stop_is_another_than_that_of_a_promotion() -> None:
    worse = evidence(0.075)
    assert decided(worse, early_stopping_confidence=0.95).action == "stop_harm"
    assert decided(worse, early_stopping_confidence=0.9999, **HUGE).action != "stop_harm"
    assert decided(worse, confidence_level=0.9999).action == "stop_harm", "that one is of promotions"


def test_a_broken_split_freezes_for_good_and_says_why() -> None:
    broken = {"c": Phase(weights={"a": 1, "b": 1}, served={"a": 900, "b": 600})}
    frozen = decided(msgspec.structs.replace(evidence(-0.15), phases=broken))
    assert frozen.action == "frozen"
    assert "do not follow the weights" in frozen.reasons[0]
    healed = msgspec.structs.replace(frozen.standing, phases={})
    assert decide(experiment(), healed).reasons == frozen.reasons


def test_several_challengers_share_alpha_and_leave_one_by_one() -> None:
    one = evidence(-0.06)
    assert decided(one).action == "promote"
    many = experiment("bcdefghijk")
    assert decide(many, one).action != "promote", "a tenth of alpha"
    both = experiment("bc")
    bad = evidence(0.2).variants["b"]
    standing = msgspec.structs.replace(one, variants={**one.variants, "b": bad, "c": one.variants["b"]})
    first = decide(both, standing)
    assert (first.action, first.variant, first.standing.stopped) == ("stop_harm", "b", ("b",))
    assert sum(each.probability_best or 0.0 for each in first.summary.values()) == pytest.approx(1.0, abs=0.01)
    assert set(decide(both, first.standing).summary) == {"c"}


def test_the_simulation_plays_what_the_judge_calls() -> None:
    for name, function in {"half_width": half_width, "planned_size": planned_size}.items():
        assert vars(simulate)[name] is vars(comparison)[name] is function


@pytest.mark.parametrize("seed", range(4))
def test_the_judge_stops_where_the_simulation_stops(seed: int) -> None:
    """The same stream, looked at after every cluster, by arrays and by `decide`."""
    x = np.random.default_rng(seed).normal(-0.12, 0.6, 400)
    rule = experiment(minimum_sample_size=100, maximum_sample_size=400, max_expected_loss=1e9)
    design, _ = comparison.designs(rule.rule, 0.1, 1)
    hit, _, _, ends = simulate._looks(design, x[None, :], 0.0, 1.0, 1.0)
    standing, found = Standing(), None
    for n, value in enumerate(x.tolist(), 1):
        new = {
            "a": VariantEvidence(losses={"squared_error": moments([1.0])}),
            "b": VariantEvidence(losses={"squared_error": moments([1.0])}, paired={"squared_error": moments([value])}),
        }
        verdict = decide(rule, absorb(rule, standing, n, new))
        standing = verdict.standing
        test = comparison.compare(rule, standing, "b", 1).test if verdict.action == "continue" else None
        certified = test is not None and (test.is_better or test.is_worse)
        if certified or verdict.action in {"promote", "stop_harm"}:
            found = n
            break
        if verdict.action == "stop_futility" and n < 400:
            standing = msgspec.structs.replace(standing, stopped=())
    assert (found is not None) == bool(hit[0])
    assert found is None or found == int(ends[0])


def test_overlapping_forecasts_are_judged_by_blocks() -> None:
    trial = experiment(block_s=4 * EPOCH_S)
    standing = Standing()
    for epoch in range(40):
        paired = moments([float(epoch % 4), 1.0])
        part = {"b": VariantEvidence(paired={"squared_error": paired}), "a": VariantEvidence()}
        standing = absorb(trial, standing, epoch, part)
    assert standing.observations(trial, "b").n == 9, "the tenth block is open"
    assert standing.observations(trial, "b").mean == pytest.approx(1.25)
    with pytest.raises(InvalidConfiguration, match="write 7200"):
        experiment(block_s=EPOCH_S + 1)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"metric": "response_time", "margin": 0.5}, "asks for more than no change"),
        ({"metric": "response_time", "margin": 1.5, "harm": 1.2}, "cannot be harm"),
        ({"metric": "response_time", "margin": 1.5, "too_good": 1.1}, "not better than no change"),
        ({"metric": "error_rate", "unit": "difference", "margin": 0.1}, "give it as a ratio"),
    ],
)
def test_contradictions_of_a_guardrail_are_refused(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidConfiguration, match=said):
        Guardrail(**wrong)


def test_contradictions_of_a_rule_are_refused() -> None:
    with pytest.raises(InvalidConfiguration, match="no promotion could ever happen"):
        Rule(minimum_sample_size=10, maximum_sample_size=5)
    with pytest.raises(InvalidConfiguration, match="given twice"):
        Rule(guardrails=(Guardrail(metric="error_rate", margin=2.0), Guardrail(metric="error_rate", margin=3.0)))


def test_of_200_pairs_of_equals_few_are_promoted() -> None:
    """Heavy-tailed outcomes, five requests a cluster, a look after every epoch: 2.5 % is nominal, 8 % the bound."""
    trial = experiment(minimum_sample_size=100, minimum_detectable_effect=0.2, maximum_sample_size=600)
    promoted = 0
    for seed in range(200):
        r, standing = np.random.default_rng(seed), Standing()
        for epoch in range(150):
            pairs, exposures = [], []
            for hour in range(4):
                outcome = float(r.standard_t(4))
                a, b = (0.3 * outcome + r.normal(0, 0.5, 2)).tolist()
                pairs += [Pair(epoch, f"{epoch}-{hour}", outcome, {"a": a, "b": b}, (0, "", "", ""))] * 5
                exposures += [Exposure(epoch, "a", {"a": False, "b": False})] * 5
            verdict = decide(trial, absorb(trial, standing, epoch, fold(trial, exposures, pairs)))
            standing = verdict.standing
            if verdict.action in TERMINAL:
                promoted += verdict.action == "promote"
                break
    assert promoted <= 16
