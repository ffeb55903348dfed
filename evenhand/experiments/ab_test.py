"""The short form of an experiment: a control, a treatment, a split, one confidence or two, and bare thresholds.

>>> config = ABTestConfig(
...     test_name="advanced_model_comparison",
...     control_model="production_model_v1",
...     treatment_model="experimental_model_v2",
...     traffic_split=0.2,
...     minimum_sample_size=5000,
...     confidence_level=0.99,
...     success_metric="accuracy",
...     guardrail_metrics=["response_time", "error_rate"],
...     guardrail_thresholds={"response_time": 1.5, "error_rate": 2.0},
... )
>>> experiment = config.experiment("crypto")
>>> [(variant.name, variant.weight) for variant in experiment.variants], experiment.success_metric
([('control', 800000), ('treatment', 200000)], 'direction_error')
>>> [(guardrail.metric, guardrail.unit, guardrail.margin) for guardrail in experiment.rule.guardrails]
[('response_time', 'ratio', 1.5), ('error_rate', 'ratio', 2.0)]
"""

from typing import Annotated

import msgspec
from msgspec import Meta

from evenhand.config import checked
from evenhand.errors import InvalidConfiguration
from evenhand.experiments.experiment import Confidence, Experiment, Guardrail, Rule, Variant

SHARES = 1_000_000
METRICS = {"accuracy": "direction_error", "rmse": "squared_error", "mse": "squared_error", "mae": "absolute_error"}
"""Other names of success metrics. All are losses here: more accuracy is less direction error."""
THRESHOLDS = {"response_time": 1.5, "error_rate": 2.0}
"""Ratios to the control, where a guardrail is named without a threshold."""


class ABTestConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Names and defaults as users of A/B tests know them.

    `traffic_split` is the treatment's fraction of the traffic. `minimum_sample_size` counts clusters (outcomes), not
    requests. `confidence_level` is that of a promotion, `early_stopping_confidence` that of an early stop which keeps
    the control. A bare guardrail threshold is a ratio to the control: response_time 1.5 allows half as much again.
    `control_model` and `treatment_model` are versions of the served model; they may be models of different kinds.
    """

    test_name: str
    control_model: str
    treatment_model: str
    description: str = ""
    traffic_split: Annotated[float, Meta(gt=0.0, lt=1.0)] = 0.5
    minimum_sample_size: Annotated[int, Meta(ge=2)] = 1000
    confidence_level: Confidence = 0.95
    early_stopping_enabled: bool = True
    early_stopping_confidence: Confidence = 0.95
    success_metric: str = "accuracy"
    guardrail_metrics: list[str] = []
    guardrail_thresholds: dict[str, float] = {}
    minimum_detectable_effect: Annotated[float, Meta(gt=0.0)] = 0.05

    def __post_init__(self) -> None:
        if self.control_model == self.treatment_model:
            raise InvalidConfiguration(
                f"{self.test_name}: control_model and treatment_model are both {self.control_model!r}: nothing to test"
            )
        if strange := sorted({*self.guardrail_metrics, *self.guardrail_thresholds} - set(THRESHOLDS)):
            raise InvalidConfiguration(
                f"{self.test_name}: no guardrail is of {strange}: they are of {sorted(THRESHOLDS)}"
            )
        if idle := sorted(set(self.guardrail_thresholds) - set(self.guardrail_metrics)):
            raise InvalidConfiguration(
                f"{self.test_name}: guardrail_thresholds has {idle}, guardrail_metrics does not: add them there"
            )

    def experiment(self, model: str) -> Experiment:
        """The experiment that it describes, of a served model."""
        treatment = round(self.traffic_split * SHARES)
        if not 0 < treatment < SHARES:
            raise InvalidConfiguration(
                f"{self.test_name}: a traffic_split of {self.traffic_split} leaves one of both without requests: the "
                f"least share is {1 / SHARES:g}"
            )
        guardrails = tuple(
            Guardrail(metric=metric, margin=self.guardrail_thresholds.get(metric, THRESHOLDS[metric]))
            for metric in self.guardrail_metrics
        )
        made = Experiment(
            name=self.test_name,
            model=model,
            champion="control",
            variants=(
                Variant(name="control", version=self.control_model, weight=SHARES - treatment),
                Variant(name="treatment", version=self.treatment_model, weight=treatment),
            ),
            success_metric=METRICS.get(self.success_metric, self.success_metric),
            rule=Rule(
                minimum_sample_size=self.minimum_sample_size,
                minimum_detectable_effect=self.minimum_detectable_effect,
                confidence_level=self.confidence_level,
                early_stopping_enabled=self.early_stopping_enabled,
                early_stopping_confidence=self.early_stopping_confidence,
                guardrails=guardrails,
            ),
        )
        return checked(made, f"{self.test_name}: ")
