"""The short form loads as users write it, means something, and refuses what contradicts itself."""

from typing import Any

import msgspec
import numpy as np
import pytest

from evenhand.config import load_yaml_strict
from evenhand.errors import InvalidConfiguration
from evenhand.experiments.ab_test import ABTestConfig
from evenhand.experiments.configured import read_experiments
from evenhand.experiments.experiment import Guardrail
from evenhand.metrics import loss
from evenhand.metrics.base import REGISTRY

FIRST: dict[str, Any] = {
    "test_name": "transformer_vs_lstm_accuracy", "description": "Compare transformer and LSTM model accuracy",
    "control_model": "crypto_lstm_v1.0", "treatment_model": "crypto_transformer_v1.0", "traffic_split": 0.3,
    "success_metric": "accuracy", "early_stopping_enabled": True,
}  # fmt: skip
SECOND: dict[str, Any] = {
    "test_name": "advanced_model_comparison", "description": "Multi-metric comparison with guardrails",
    "control_model": "production_model_v1", "treatment_model": "experimental_model_v2", "traffic_split": 0.2,
    "minimum_sample_size": 5000, "confidence_level": 0.99, "early_stopping_enabled": True,
    "early_stopping_confidence": 0.95, "success_metric": "accuracy",
    "guardrail_metrics": ["response_time", "error_rate"],
    "guardrail_thresholds": {"response_time": 1.5, "error_rate": 2.0},
}  # fmt: skip


def test_both_examples_load_as_they_are_and_mean_something() -> None:
    first, second = (ABTestConfig(**fields).experiment("crypto") for fields in (FIRST, SECOND))
    assert [(each.version, each.weight) for each in first.variants] == [
        ("crypto_lstm_v1.0", 700_000), ("crypto_transformer_v1.0", 300_000),
    ]  # fmt: skip
    assert first.success_metric == "direction_error"
    rule = second.rule
    assert (rule.minimum_sample_size, rule.confidence_level, rule.early_stopping_confidence) == (5000, 0.99, 0.95)
    assert rule.guardrails == (
        Guardrail(metric="response_time", margin=1.5), Guardrail(metric="error_rate", margin=2.0),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("key", "value", "place"),
    [
        ("traffic_split", 0.4, "variants"), ("control_model", "other_v1", "variants"),
        ("treatment_model", "other_v2", "variants"), ("test_name", "other", "name"),
        ("success_metric", "rmse", "success_metric"), ("minimum_sample_size", 50, "rule"),
        ("confidence_level", 0.9, "rule"), ("early_stopping_enabled", False, "rule"),
        ("early_stopping_confidence", 0.9, "rule"), ("guardrail_thresholds", {"error_rate": 3.0}, "rule"),
        ("guardrail_metrics", ["response_time", "error_rate", "error_rate"], None),
    ],
)  # fmt: skip
def test_every_key_changes_the_experiment(key: str, value: Any, place: str | None) -> None:
    """What a change of the rule decides is in test_configuration_matters.py, one case for each of its fields."""
    fields = SECOND | {key: value}
    if place is None:
        with pytest.raises(InvalidConfiguration, match="given twice"):
            ABTestConfig(**fields).experiment("m")
        return
    before, after = ABTestConfig(**SECOND).experiment("m"), ABTestConfig(**fields).experiment("m")
    assert getattr(before, place) != getattr(after, place)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"treatment_model": "production_model_v1"}, "nothing to test"),
        ({"guardrail_metrics": ["latency"], "guardrail_thresholds": {}}, r"no guardrail is of \['latency'\]"),
        ({"guardrail_metrics": []}, "guardrail_metrics does not"),
        ({"guardrail_thresholds": {"response_time": 0.5}}, "asks for more than no change"),
        ({"traffic_split": 1e-9}, "leaves one of both without requests"),
        ({"minimum_sample_size": 1}, r"expected int >= 2 - at \$.rule.minimum_sample_size$"),
        ({"test_name": "my test"}, r"my test: .* at \$.name: names have letters"),
        ({"treatment_model": "model b"}, r"at \$.variants\[1\].version: names have letters"),
    ],
)
def test_contradictions_are_refused_with_the_reason(change: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidConfiguration, match=said):
        ABTestConfig(**SECOND | change).experiment("m")


def test_the_short_form_stands_in_the_same_file() -> None:
    text = msgspec.yaml.encode({"ab_tests": {"crypto": SECOND}}).decode()
    assert read_experiments(text).of("crypto") == ABTestConfig(**SECOND).experiment("crypto")
    with pytest.raises(InvalidConfiguration, match="did you mean traffic_split"):
        read_experiments(text.replace("traffic_split", "traffic_splitt"))


def test_what_users_report_may_be_the_success_metric_of_the_file() -> None:
    variants = [{"name": name, "version": version, "weight": 1} for name, version in (("a", "1.0.0"), ("b", "1.1.0"))]
    declared = {"name": "t", "model": "m", "champion": "a", "variants": variants, "success_metric": "clicks"}
    clicks = {"metrics": [{"name": "clicks", "reported": "click", "per": "requests", "better": "higher"}]}
    (experiment,) = read_experiments(msgspec.yaml.encode({"experiments": [declared | clicks]}).decode()).experiments
    assert experiment.measure is not None
    with pytest.raises(InvalidConfiguration, match=r"experiments\[0\]: no metric is named 'clicks'"):
        read_experiments(msgspec.yaml.encode({"experiments": [declared]}).decode())


@pytest.mark.parametrize("number", [".nan", ".inf", "-.inf"])
def test_what_is_no_number_is_refused_with_its_place(number: str) -> None:
    text = msgspec.yaml.encode({"ab_tests": {"crypto": FIRST | {"minimum_detectable_effect": 7.25}}}).decode()
    with pytest.raises(InvalidConfiguration, match=r"minimum_detectable_effect is .*: write a finite number"):
        read_experiments(text.replace("7.25", number))


def test_a_misspelt_key_is_refused_with_a_suggestion() -> None:
    text = msgspec.yaml.encode(FIRST | {"trafic_split": 0.1}).decode()
    with pytest.raises(InvalidConfiguration, match="trafic_split is unknown, did you mean traffic_split"):
        load_yaml_strict(text, ABTestConfig)


@pytest.mark.parametrize("name", sorted(REGISTRY))
def test_a_metric_is_never_negative_and_keeps_what_is_missing(name: str) -> None:
    r = np.random.default_rng(1)
    values, outcomes = r.normal(size=200), r.normal(size=200)
    values[:5] = np.nan
    found = loss(name).losses(values, outcomes)
    assert found.shape == (200,)
    assert (found[5:] >= 0).all()
    assert np.isnan(found[:5]).all()


def test_the_least_pinball_loss_is_at_the_quantile() -> None:
    outcomes = np.random.default_rng(2).normal(size=100_000)
    tried = np.linspace(0.5, 2.0, 61)
    best = tried[
        np.argmin([loss("pinball_90").losses(np.full_like(outcomes, each), outcomes).mean() for each in tried])
    ]
    assert best == pytest.approx(1.2816, abs=0.05)
