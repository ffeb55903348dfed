"""Each key of an experiment, as it stands in the file, changes what the loop decides; one without a case fails."""

from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest
import yaml

from evenhand.codec import decoder
from evenhand.events import ControlChanged, DecisionMade, RequestAssigned, Served, Ticked
from evenhand.experiments.ab_test import ABTestConfig
from evenhand.experiments.configured import read_experiments
from evenhand.experiments.experiment import Experiment, Guardrail, Rule, Variant
from evenhand.processors.control import control
from evenhand.topics import ASSIGNMENTS
from tests.unit.processors.play import START, decisions, play, story, write

HERE = Path(__file__).parent


class Seen(NamedTuple):
    """What a file led to: the last decision, when it came, the counts behind it, and who got which version."""

    action: str
    variant: str | None
    epoch: int
    reason: str
    clusters: tuple[int, ...]
    versions: tuple[str, ...]


def base(**more: Any) -> dict[str, Any]:
    """A challenger that is better, in the long form; `rule` is merged, everything else replaced."""
    rule = {
        "minimum_sample_size": 150, "minimum_exposures": 60, "minimum_detectable_effect": 0.2,
        "missing_deviations": 0.2, "guardrails": [{"metric": "success_metric", "margin": 1.5}], **more.pop("rule", {}),
    }  # fmt: skip
    return {
        "name": "trial", "model": "line", "champion": "old", "epoch_s": 10, "grace_s": 5,
        "variants": [
            {"name": "old", "version": "1.0.0", "weight": 60}, {"name": "new", "version": "1.1.0", "weight": 40},
        ],
        "rule": rule, **more,
    }  # fmt: skip


def short(**more: Any) -> dict[str, Any]:
    """The same in the short form."""
    return {
        "test_name": "trial", "control_model": "1.0.0", "treatment_model": "1.1.0", "traffic_split": 0.4,
        "minimum_sample_size": 150, "minimum_detectable_effect": 0.2, "success_metric": "mse", **more,
    }  # fmt: skip


def worse(**more: Any) -> dict[str, Any]:
    """The other way round: the challenger is worse."""
    return base(champion="new", **more)


def failing(**more: Any) -> dict[str, Any]:
    """A challenger that fails on one request in ten."""
    variants = [{"name": "old", "version": "1.0.0", "weight": 60}, {"name": "new", "version": "1.2.0", "weight": 40}]
    return base(variants=variants, **more)


def seen(given: dict[str, Any]) -> Seen:
    """What the loop makes of a file with this experiment."""
    return _seen(yaml.safe_dump(given))


@lru_cache(maxsize=64)
def _seen(text: str) -> Seen:
    given = yaml.safe_load(text)
    file = {"ab_tests": {"line": given}} if "test_name" in given else {"experiments": [given]}
    (experiment,) = read_experiments(yaml.safe_dump(file)).experiments
    if "test_name" in given:
        experiment = msgspec.structs.replace(experiment, epoch_s=10, grace_s=5)
    champion = experiment.variant(experiment.champion).version
    first = control(Served(champion=champion, wait_s=30, experiment=experiment), "line", START, "first")
    log = write(story(1, requests=600), first, 1)
    play(log, batch=500)
    made = [msgspec.json.decode(each, type=DecisionMade) for each in decisions(log)]
    made = [each for each in made if each.action != "no_data"]
    last = made[-1]
    assigned = [decoder(RequestAssigned, Ticked, ControlChanged).decode(each) for each in log.values(ASSIGNMENTS)]
    versions = {each.request.id: each.version for each in assigned if isinstance(each, RequestAssigned)}
    return Seen(
        last.action, last.variant, last.epochs[1] - made[0].epochs[1], last.reasons[0],
        tuple(each.summary[last.variant or "new"].clusters for each in made if (last.variant or "new") in each.summary),
        tuple(versions[each] for each in sorted(versions)),
    )  # fmt: skip


def later(before: Seen, after: Seen) -> bool:
    """It took longer, or never came."""
    return after.action == "continue" or after.epoch > before.epoch


def never(before: Seen, after: Seen) -> bool:
    return before.action == "promote" and after.action == "continue"


def others(before: Seen, after: Seen) -> bool:
    """Other requests got the challenger."""
    return before.versions != after.versions


def other_counts(before: Seen, after: Seen) -> bool:
    return before.clusters != after.clusters


def other_reasons(before: Seen, after: Seen) -> bool:
    return before.reason != after.reason


def harm(before: Seen, after: Seen) -> bool:
    return before.action == "promote" and after.action == "stop_harm"


def spared(before: Seen, after: Seen) -> bool:
    """What stopped it no longer does."""
    return (before.action, after.action) == ("stop_harm", "continue") and "guardrail success_metric" in before.reason


def guarded(**more: Any) -> dict[str, Any]:
    """A trial in which the guardrail alone can stop anything."""
    guardrail = {"metric": "success_metric", "margin": 1.05, **more}
    return {"success_metric": "absolute_error", "rule": {"minimum_sample_size": 5000, "guardrails": [guardrail]}}


OTHERS = [{"name": "old", "version": "1.0.0", "weight": 10}, {"name": "new", "version": "1.1.0", "weight": 90}]
WATCHED = [{"metric": "error_rate", "margin": 2.0}]
LONG: dict[str, tuple[dict[str, Any], dict[str, Any], Any]] = {
    "champion": (base(), worse(), harm),
    "variants": (base(), base(variants=OTHERS), others),
    "success_metric": (base(), base(success_metric="direction_error"), other_reasons),
    "epoch_s": (base(), base(epoch_s=20), other_counts),
    "grace_s": (base(), base(grace_s=0), other_counts),
    "salt": (base(), base(salt="another"), others),
    "block_s": (base(), base(block_s=20), later),
    "rule": (base(), base(rule={"minimum_sample_size": 5000}), never),
    "rule.minimum_sample_size": (base(), base(rule={"minimum_sample_size": 300}), later),
    "rule.maximum_sample_size": (base(), base(rule={"maximum_sample_size": 50_000_000}), other_reasons),
    "rule.minimum_duration_s": (base(), base(rule={"minimum_duration_s": 86_400}), never),
    "rule.minimum_detectable_effect": (base(), base(rule={"minimum_detectable_effect": 0.002}), other_reasons),
    "rule.power": (base(), base(rule={"power": 0.999}), other_reasons),
    "rule.confidence_level": (base(), base(rule={"confidence_level": 0.9999}), other_reasons),
    "rule.early_stopping_enabled": (
        base(rule={"maximum_sample_size": 400}),
        base(rule={"maximum_sample_size": 400, "early_stopping_enabled": False}),
        later,
    ),
    "rule.early_stopping_confidence": (
        worse(rule={"guardrails": WATCHED}),
        worse(rule={"guardrails": WATCHED, "early_stopping_confidence": 0.5}),
        other_reasons,
    ),
    "rule.max_expected_loss": (base(), base(rule={"max_expected_loss": 1e-300}), never),
    "rule.missing_deviations": (base(), base(rule={"missing_deviations": 100.0}), never),
    "rule.minimum_exposures": (failing(), failing(rule={"minimum_exposures": 100_000}), later),
    "rule.max_error_fraction_increase": (base(), base(rule={"max_error_fraction_increase": 0.0}), never),
    "rule.guardrails": (base(), base(rule={"guardrails": [{"metric": "response_time", "margin": 1.5}]}), never),
    "variants.name": (base(), base(variants=[OTHERS[0], {**OTHERS[1], "name": "brand"}]), other_reasons),
    "variants.version": (base(), failing(), harm),
    "variants.weight": (base(), base(variants=OTHERS), others),
    "guardrails.metric": (base(), base(rule={"guardrails": [{"metric": "response_time", "margin": 1.5}]}), never),
    "guardrails.unit": (worse(**guarded()), worse(**guarded(unit="difference")), spared),
    "guardrails.margin": (worse(**guarded()), worse(**guarded(margin=50.0)), spared),
    "guardrails.harm": (worse(**guarded()), worse(**guarded(harm=50.0)), spared),
    "guardrails.too_good": (
        base(**guarded()), base(**guarded(too_good=0.95)), lambda before, after: after.action == "frozen",
    ),
}  # fmt: skip
SHORT: dict[str, tuple[dict[str, Any], dict[str, Any], Any]] = {
    "control_model": (short(), short(control_model="1.1.0", treatment_model="1.0.0"), harm),
    "treatment_model": (short(), short(treatment_model="1.2.0"), harm),
    "traffic_split": (short(), short(traffic_split=0.1), others),
    "minimum_sample_size": (short(), short(minimum_sample_size=5000), later),
    "confidence_level": (short(), short(confidence_level=0.9999), other_reasons),
    "early_stopping_enabled": (short(), short(early_stopping_enabled=False), later),
    "early_stopping_confidence": (
        short(control_model="1.1.0", treatment_model="1.0.0", success_metric="mse"),
        short(
            control_model="1.1.0", treatment_model="1.0.0", success_metric="mse", early_stopping_confidence=0.5
        ),
        other_reasons,
    ),
    "success_metric": (short(), short(success_metric="accuracy"), other_reasons),
    "guardrail_metrics": (short(), short(guardrail_metrics=["response_time"]), never),
    "guardrail_thresholds": (
        short(guardrail_metrics=["error_rate"], guardrail_thresholds={"error_rate": 1.0}, treatment_model="1.2.0"),
        short(guardrail_metrics=["error_rate"], guardrail_thresholds={"error_rate": 9.0}, treatment_model="1.2.0"),
        other_reasons,
    ),
    "minimum_detectable_effect": (short(), short(minimum_detectable_effect=0.001), other_reasons),
}  # fmt: skip
NAMES = {"name", "model", "test_name", "description"}
"""They say what an experiment is called: nothing is decided by them."""
ELSEWHERE = {
    "metrics": "test_reported_metrics.py", "bandit": "test_phases.py", "rule.multiplicity": "test_several.py",
    "rule.prior": "test_several.py", "ring": "test_assignment.py",
}  # fmt: skip
"""Keys that need a world of their own."""


@pytest.mark.parametrize("key", LONG)
def test_a_key_of_the_long_form_changes_what_is_decided(key: str) -> None:
    before, after, differs = LONG[key]
    assert differs(seen(before), seen(after)), f"{key}: {seen(before)[:4]} and {seen(after)[:4]}"


@pytest.mark.parametrize("key", SHORT)
def test_a_key_of_the_short_form_changes_what_is_decided(key: str) -> None:
    before, after, differs = SHORT[key]
    assert differs(seen(before), seen(after)), f"{key}: {seen(before)[:4]} and {seen(after)[:4]}"


def test_no_key_is_without_its_case() -> None:
    keys = {*Experiment.__struct_fields__} | {f"rule.{name}" for name in Rule.__struct_fields__}
    keys |= {f"variants.{name}" for name in Variant.__struct_fields__}
    keys |= {f"guardrails.{name}" for name in Guardrail.__struct_fields__}
    assert keys - NAMES - set(ELSEWHERE) == set(LONG)
    assert {*ABTestConfig.__struct_fields__} - NAMES == set(SHORT)
    for key, file in ELSEWHERE.items():
        (found,) = (HERE.parent).rglob(file)
        assert key.removeprefix("rule.") in found.read_text()
