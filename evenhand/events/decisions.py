"""Which version is better, and what is done about it."""

from typing import Literal

import msgspec

from evenhand.events.event import Event, Model, Text


class VariantPosterior(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """What is known of a challenger against the champion; differences in the unit of the success metric.

    `mean_difference` and all beside it are of the posterior, shrunken by its prior, and inform. `observed_difference`
    and `confidence_sequence` are of the sequential test: that one is valid at every look, and it alone stops.
    `clusters` counts blocks where the experiment has them, and so does `planned_clusters`, the planned end.
    Of blocks, `effective_clusters` says how many independent clusters they are worth.
    `missing_fraction` of the outcomes that were due never came; with those at their worst the upper end of the
    confidence sequence is `worst_case_difference`.
    """

    clusters: int
    exposures: int
    mean_difference: float | None = None
    credible_interval: tuple[float, float] | None = None
    probability_better: float | None = None
    expected_loss: float | None = None
    relative_difference: float | None = None
    error_fraction: float | None = None
    probability_more_errors: float | None = None
    probability_best: float | None = None
    probability_equivalent: float | None = None
    expected_loss_of_champion: float | None = None
    relative_interval: tuple[float, float] | None = None
    observed_difference: float | None = None
    confidence_sequence: tuple[float, float] | None = None
    planned_clusters: int | None = None
    guardrails: dict[str, str] = {}
    missing_fraction: float | None = None
    worst_case_difference: float | None = None
    effective_clusters: float | None = None


class PosteriorUpdated(Event, frozen=True, kw_only=True, omit_defaults=True):
    """The posterior of an experiment after an epoch; `began_ms` is when the first epoch of its evidence began."""

    model: Model
    subject: Text
    epoch: int
    variants: dict[str, VariantPosterior]
    began_ms: int | None = None


Action = Literal["continue", "promote", "stop_harm", "stop_futility", "abort", "frozen", "no_data"]


class DecisionMade(Event, frozen=True, kw_only=True, omit_defaults=True):
    """What was decided after the epochs named, and why. The evidence's offsets stand in the record's headers.

    `weights` are those that a bandit gives the variants from here on: the propensities of what follows. `prior_sd` is
    the prior's that past experiments have earned, as a fraction of the champion's loss.
    """

    model: Model
    subject: Text
    epochs: tuple[int, int]
    action: Action
    reasons: tuple[str, ...]
    variant: str | None = None
    summary: dict[str, VariantPosterior] = {}
    configuration_digest: Text
    evidence_digest: Text
    weights: dict[str, int] | None = None
    prior_sd: float | None = None


class RolloutChanged(Event, frozen=True, kw_only=True, omit_defaults=True):
    """Weights (percent, by version) of a rollout and why they changed."""

    model: Model
    rollout: Text
    weights: dict[str, int]
    state: Text
    reason: str
    cause: str = ""
