"""Every key of the configuration changes a decision: one case each, and no key without a case."""

from functools import cache
from typing import Any

import msgspec
import pytest

from evenhand.events import DecisionMade, Event
from evenhand.experiments.ab_test import ABTestConfig
from evenhand.experiments.decision import decide
from evenhand.experiments.experiment import Bandit, Experiment, Guardrail, Rule, Segment, Variant
from evenhand.experiments.standing import Standing
from evenhand.experiments.user_metric import UserMetric
from evenhand.offline import Runner
from tests.unit.experiments.test_decision import evidence, experiment
from tests.unit.experiments.test_several import played, report, standing
from tests.unit.experiments.test_several import trial as many
from tests.unit.processors.play import Lines, decisions, judged, served, story, trial, write
from tests.unit.processors.test_reported_metrics import CLICKS, reporting, trial_of

Change = dict[str, Any]
HUGE = {"maximum_sample_size": 100_000}


# On the loop: the experiment as a whole


@cache
def _told(kind: str) -> tuple[tuple[float, str, Event], ...]:
    return tuple(reporting(1, {"old": 0.2, "new": 0.7}, requests=900) if kind == "clicks" else story(1, 400))


def on_the_loop(declared: Experiment, kind: str = "losses") -> list[tuple[Any, ...]]:
    """What is decided about it, without what the configuration's own digest changes."""
    log = write(_told(kind), served(declared), 1)
    Runner(log, judged(Lines())).run()
    made = [msgspec.json.decode(value, type=DecisionMade) for value in decisions(log)]
    return [(each.subject, each.epochs, each.action, each.variant, each.reasons, each.weights) for each in made]


def clicked(**change: Any) -> Experiment:
    return msgspec.structs.replace(trial_of(CLICKS, success="clicks", maximum_sample_size=1000), **change)


def ends(made: list[tuple[Any, ...]]) -> list[str]:
    return [action for _, _, action, *_ in made if action not in {"continue", "no_data"}]


TWIN = tuple(Variant(name=name, version="1.0.0", weight=50) for name in ("old", "new"))
OTHERS_SHARE = (Segment("0000000000000000", "new"), Segment("8000000000000000", "old"))
WAITING = trial(minimum_duration_s=10**6)
WHOLE: dict[str, tuple[Experiment, Experiment, str]] = {
    "name": (trial(), msgspec.structs.replace(trial(), name="another"), "losses"),
    "model": (trial(), msgspec.structs.replace(trial(), model="another"), "losses"),
    "champion": (trial(), msgspec.structs.replace(trial(), champion="new"), "losses"),
    "variants": (trial(), msgspec.structs.replace(trial(), variants=TWIN), "losses"),
    "success_metric": (trial(), msgspec.structs.replace(trial(), success_metric="direction_error"), "losses"),
    "epoch_s": (trial(), msgspec.structs.replace(trial(), epoch_s=20), "losses"),
    "grace_s": (trial(), msgspec.structs.replace(trial(), grace_s=1), "losses"),
    "block_s": (trial(), msgspec.structs.replace(trial(), block_s=20), "losses"),
    "salt": (clicked(), clicked(salt="another"), "clicks"),
    "ring": (clicked(), clicked(ring=OTHERS_SHARE), "clicks"),
    "metrics": (clicked(), clicked(metrics=(msgspec.structs.replace(CLICKS, better="lower"),)), "clicks"),
    "bandit": (WAITING, msgspec.structs.replace(WAITING, bandit=Bandit(every_s=20)), "losses"),
    "rule": (trial(), trial(minimum_sample_size=10**9), "losses"),
}  # fmt: skip


@pytest.mark.parametrize("key", WHOLE)
def test_a_key_of_an_experiment_changes_what_the_loop_decides(key: str) -> None:
    before, after, kind = WHOLE[key]
    first, second = on_the_loop(before, kind), on_the_loop(after, kind)
    assert first != second
    if key in {"variants", "salt", "ring", "metrics", "rule", "model"}:
        assert "promote" in ends(first)
        assert "promote" not in ends(second)


METRIC: dict[str, UserMetric] = {
    "name": UserMetric(name="click"),
    "reported": UserMetric(name="clicks", reported="another", per="requests", better="higher"),
    "per": UserMetric(name="clicks", per="observations", better="higher"),
    "better": UserMetric(name="clicks", per="requests"),
    "covariate": UserMetric(name="clicks", better="higher", covariate="never-reported"),
}


@pytest.mark.parametrize("key", METRIC)
def test_a_key_of_a_users_metric_changes_what_the_loop_decides(key: str) -> None:
    metric = METRIC[key]
    changed = on_the_loop(clicked(metrics=(metric,), success_metric=metric.name), "clicks")
    assert "promote" in ends(on_the_loop(clicked(), "clicks"))
    assert "promote" not in ends(changed), "with the metric as it was, the challenger is promoted"
    if key == "covariate":
        plain = msgspec.structs.replace(metric, covariate="")
        assert on_the_loop(clicked(metrics=(plain,)), "clicks") != changed


BANDIT: dict[str, Bandit] = {
    "every_s": Bandit(every_s=60), "leader": Bandit(every_s=20, leader=0.6),
    "minimum_share": Bandit(every_s=20, minimum_share=0.4),
}  # fmt: skip


@pytest.mark.parametrize("key", BANDIT)
def test_a_key_of_a_bandit_changes_the_weights_that_are_decided(key: str) -> None:
    def weights(bandit: Bandit) -> list[Any]:
        return [
            each[-1] for each in on_the_loop(msgspec.structs.replace(trial(minimum_duration_s=10**6), bandit=bandit))
        ]

    assert any(weights(Bandit(every_s=20)))
    assert weights(BANDIT[key]) != weights(Bandit(every_s=20))


# One look: the rule and its guardrails


def looked(known: Standing, **rule: Any) -> str:
    return decide(experiment(**rule), known).action


RULE: dict[str, tuple[Standing, Change, Change, str, str]] = {
    "minimum_sample_size": (evidence(-0.15), {}, {"minimum_sample_size": 501}, "promote", "continue"),
    "maximum_sample_size": (evidence(0.0), {}, {"maximum_sample_size": 1001}, "stop_futility", "continue"),
    "minimum_duration_s": (evidence(-0.15), {}, {"minimum_duration_s": 501 * 3600}, "promote", "continue"),
    "minimum_detectable_effect": (evidence(0.0), {}, {"minimum_detectable_effect": 0.01}, "stop_futility", "continue"),
    "power": (evidence(-0.03, n=205), {}, {"power": 0.99}, "stop_futility", "continue"),
    "confidence_level": (evidence(-0.1), HUGE, {"confidence_level": 0.999, **HUGE}, "promote", "continue"),
    "early_stopping_enabled": (evidence(-0.15), HUGE, {"early_stopping_enabled": False, **HUGE}, "promote", "continue"),
    "early_stopping_confidence": (
        evidence(0.1), HUGE, {"early_stopping_confidence": 0.9999, **HUGE}, "stop_harm", "continue",
    ),
    "max_expected_loss": (evidence(-0.15), {}, {"max_expected_loss": 1e-30}, "promote", "continue"),
    "missing_deviations": (
        evidence(-0.15, returned=800), {"missing_deviations": 0.0}, {"missing_deviations": 3.0}, "promote", "continue",
    ),
    "minimum_exposures": (evidence(-0.15, errors=100), {}, {"minimum_exposures": 1001}, "stop_harm", "continue"),
    "max_error_fraction_increase": (
        evidence(-0.15), {}, {"max_error_fraction_increase": 0.0}, "promote", "continue",
    ),
    "guardrails": (
        evidence(-0.15, times_ms=160), {}, {"guardrails": [{"metric": "response_time", "margin": 1.5}]},
        "promote", "stop_harm",
    ),
}  # fmt: skip


@pytest.mark.parametrize("key", RULE)
def test_a_key_of_the_rule_changes_a_decision(key: str) -> None:
    known, before, after, first, second = RULE[key]
    assert (looked(known, **before), looked(known, **after)) == (first, second)


def test_the_rule_for_several_challengers_changes_a_decision() -> None:
    known = standing(dict.fromkeys("bcdefghijk", -0.118))
    actions = [decide(many(maximum_sample_size=10**6, multiplicity=each), known).action for each in ("split", "e_bh")]
    assert actions == ["continue", "promote"]


def test_the_prior_changes_a_decision() -> None:
    """Ten experiments found nothing: what is expected to be lost by an eleventh's challenger is more, then."""

    def action(prior: str) -> str:
        records = []
        for epoch in range(11):
            small = many("b", f"t{epoch}", prior=prior, max_expected_loss=1e-7, maximum_sample_size=1000)
            records += [report(small, epoch, -0.06 if epoch == 10 else 0.001 * (epoch % 2), at) for at in (0, 1)]
        last = played(records, 22).trials["t10"]
        return decide(last.experiment, msgspec.structs.replace(last.standing, stopped=())).action

    assert (action("sceptical"), action("past_experiments")) == ("promote", "continue")


MARGIN: Change = {"metric": "response_time", "margin": 1.5}
GUARD: dict[str, tuple[float, Change, Change, str, str]] = {
    "metric": (160.0, MARGIN, {"metric": "response_time_log", "margin": 1.5}, "stop_harm", "continue"),
    "unit": (160.0, MARGIN, {"metric": "response_time", "unit": "difference", "margin": 70.0}, "stop_harm", "promote"),
    "margin": (160.0, MARGIN, {"metric": "response_time", "margin": 1.8}, "stop_harm", "promote"),
    "harm": (160.0, MARGIN, {**MARGIN, "harm": 3.0}, "stop_harm", "continue"),
    "too_good": (10.0, MARGIN, {**MARGIN, "too_good": 0.5}, "promote", "frozen"),
}


@pytest.mark.parametrize("key", GUARD)
def test_a_key_of_a_guardrail_changes_a_decision(key: str) -> None:
    times_ms, before, after, first, second = GUARD[key]
    known = evidence(-0.15, times_ms=times_ms)
    assert (looked(known, guardrails=[before]), looked(known, guardrails=[after])) == (first, second)


# The short form


SHORT: Change = {
    "test_name": "t", "control_model": "1.0.0", "treatment_model": "1.1.0", "traffic_split": 0.4,
    "success_metric": "mse", "minimum_sample_size": 200, "minimum_detectable_effect": 0.1,
}  # fmt: skip
SHORT_CASES: dict[str, tuple[Standing, Change, str, str]] = {
    "minimum_sample_size": (evidence(-0.15), {"minimum_sample_size": 501}, "promote", "continue"),
    "confidence_level": (evidence(-0.06), {"confidence_level": 0.9999}, "promote", "continue"),
    "early_stopping_enabled": (
        evidence(0.0, n=197), {"early_stopping_enabled": False, "minimum_sample_size": 190},
        "continue", "stop_futility",
    ),
    "early_stopping_confidence": (
        evidence(0.075), {"early_stopping_confidence": 0.9999}, "stop_harm", "stop_futility",
    ),
    "success_metric": (evidence(-0.15), {"success_metric": "accuracy"}, "promote", "continue"),
    "guardrail_metrics": (
        evidence(-0.15, times_ms=160), {"guardrail_metrics": ["response_time"]}, "promote", "stop_harm",
    ),
    "guardrail_thresholds": (
        evidence(-0.15, times_ms=130),
        {"guardrail_metrics": ["response_time"], "guardrail_thresholds": {"response_time": 1.2}},
        "promote", "stop_harm",
    ),
    "minimum_detectable_effect": (evidence(0.0), {"minimum_detectable_effect": 0.01}, "stop_futility", "continue"),
}  # fmt: skip


def short(known: Standing, change: Change) -> str:
    declared = ABTestConfig(**SHORT | change).experiment("m")
    names = {"a": "control", "b": "treatment"}
    variants = {names[of]: each for of, each in known.variants.items()}
    return decide(declared, msgspec.structs.replace(known, variants=variants, phases={})).action


@pytest.mark.parametrize("key", SHORT_CASES)
def test_a_key_of_the_short_form_changes_a_decision(key: str) -> None:
    known, change, first, second = SHORT_CASES[key]
    assert (short(known, {}), short(known, change)) == (first, second)


@pytest.mark.parametrize(
    ("key", "value"),
    [("test_name", "u"), ("control_model", "1.1.0"), ("treatment_model", "1.2.0"), ("traffic_split", 0.9)],
)
def test_a_key_of_the_short_form_that_says_who_gets_whom_changes_what_the_loop_decides(key: str, value: Any) -> None:
    def made(**change: Any) -> list[tuple[Any, ...]]:
        declared = ABTestConfig(**{**SHORT, "minimum_sample_size": 100, **change}).experiment("line")
        asked = msgspec.structs.replace(declared, epoch_s=10, grace_s=5)
        if key == "traffic_split":  # a loss is compared on every request, whoever is served
            asked = msgspec.structs.replace(asked, metrics=(CLICKS,), success_metric="clicks")
        return on_the_loop(asked, "clicks" if key == "traffic_split" else "losses")

    other = {"treatment_model": "1.0.0"} if key == "control_model" else {}
    assert made() != made(**{key: value}, **other)


def test_no_key_is_without_a_case() -> None:
    cases: dict[type[msgspec.Struct], set[str]] = {
        Experiment: set(WHOLE), UserMetric: set(METRIC), Bandit: set(BANDIT), Guardrail: set(GUARD),
        Rule: {*RULE, "multiplicity", "prior"},
        # A description is for people: it reaches no decision.
        ABTestConfig: {*SHORT_CASES, "test_name", "control_model", "treatment_model", "traffic_split", "description"},
        Variant: {"name", "version", "weight"},  # of `variants`, `salt` and the short form
    }  # fmt: skip
    for struct, covered in cases.items():
        assert set(struct.__struct_fields__) == covered, struct.__name__
