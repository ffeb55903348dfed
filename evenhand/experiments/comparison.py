"""A challenger against the champion: the posterior and the sequential test side by side, and the guardrails."""

import math

import msgspec

from evenhand.events import Moments, VariantEvidence, VariantPosterior
from evenhand.experiments.beta import after, is_small, probability_greater
from evenhand.experiments.experiment import Experiment, Rule
from evenhand.experiments.guardrail import Watched
from evenhand.experiments.missing import at_worst
from evenhand.experiments.posterior import Belief, belief, sceptical_prior
from evenhand.experiments.sequential import Design, half_width, planned_size
from evenhand.experiments.srm import missing_fraction
from evenhand.experiments.standing import Standing
from evenhand.experiments.watching import watch

FAR = 12.0
"""Standard deviations beyond which a quadrature would say 0 or 1, to 1e-4, even of one failure in a thousand."""


class Test(msgspec.Struct, frozen=True, gc=False):
    """What the sequential test says of the mean difference, as of a look."""

    mean: float
    interval: tuple[float, float]
    is_better: bool
    is_worse: bool
    planned: float
    is_end: bool


class Comparison(msgspec.Struct, frozen=True, gc=False):
    """All that is known of one challenger. None where there is no spread to judge by."""

    name: str
    observations: Moments
    exposures: int
    belief: Belief | None
    test: Test | None
    effect: float
    guardrails: dict[str, Watched]
    posterior: VariantPosterior
    missing: float
    at_worst: float | None


def designs(rule: Rule, effect: float, challengers: int) -> tuple[Design, Design]:
    """The test that promotes and the one that stops for harm; alpha is divided among the challengers."""

    def design(confidence: float) -> Design:
        return Design(
            alpha=(1.0 - confidence) / challengers,
            effect=effect,
            power=rule.power,
            minimum=rule.minimum_sample_size,
            planned=rule.maximum_sample_size,
            is_fixed=not rule.early_stopping_enabled,
        )

    promote = design(rule.confidence_level)
    same = rule.early_stopping_confidence == rule.confidence_level
    return promote, promote if same else design(rule.early_stopping_confidence)


def look(promote: Design, harm: Design, moments: Moments, *, is_past_end: bool) -> Test | None:
    """The sequential test of a mean difference (negative: better); None while it cannot be judged."""
    if moments.n < 2 or moments.m2 <= 0.0:
        return None
    sd = math.sqrt(moments.m2 / (moments.n - 1))
    half = half_width(promote, float(moments.n), sd, is_past_end=is_past_end)
    half_harm = half if harm is promote else half_width(harm, float(moments.n), sd, is_past_end=is_past_end)
    planned = planned_size(promote, sd)
    return Test(
        mean=moments.mean,
        interval=(moments.mean - half, moments.mean + half),
        is_better=moments.mean < -half,
        is_worse=moments.mean > half_harm,
        planned=planned,
        is_end=moments.n >= max(planned, promote.minimum),
    )


def compare(experiment: Experiment, standing: Standing, name: str, challengers: int) -> Comparison:
    """One challenger, of so many that are on trial; 12 µs."""
    rule, none = experiment.rule, VariantEvidence()
    own, champion = standing.variants.get(name, none), standing.variants.get(experiment.champion, none)
    moments = standing.observations(experiment, name)
    base = standing.base if standing.base is not None else abs(standing.loss(experiment, experiment.champion))
    effect = rule.minimum_detectable_effect * base
    test, found = None, None
    if effect > 0.0:
        promote, harm = designs(rule, effect, challengers)
        test = look(promote, harm, moments, is_past_end=name in standing.past_end)
    if test is not None:
        prior = sceptical_prior(effect) if standing.prior_sd is None else standing.prior_sd * base
        found = belief(moments.mean, moments.m2 / (moments.n - 1) / moments.n, prior)
    guardrails = watch(experiment, standing, name, challengers)
    missing, worst = missing_fraction(standing.phases.values()), None
    if test is not None and experiment.measure is None and math.isfinite(test.interval[1]):
        worst = at_worst(experiment, own.paired.get(experiment.success_metric, moments), test.interval[1], missing)
    posterior = _posterior(rule, moments, champion, own, found, test, base, guardrails)
    if missing:
        posterior = msgspec.structs.replace(posterior, missing_fraction=missing, worst_case_difference=worst)
    return Comparison(name, moments, own.predictions, found, test, effect, guardrails, posterior, missing, worst)


def _posterior(
    rule: Rule,
    moments: Moments,
    champion: VariantEvidence,
    own: VariantEvidence,
    found: Belief | None,
    test: Test | None,
    base: float,
    guardrails: dict[str, Watched],
) -> VariantPosterior:
    states: dict[str, str] = {metric: watched.state for metric, watched in guardrails.items()}
    fraction = own.errors / own.predictions if own.predictions else None
    if found is None or test is None:
        return VariantPosterior(
            clusters=moments.n, exposures=own.predictions, error_fraction=fraction, guardrails=states,
            probability_more_errors=_more_errors(rule, champion, own),
        )  # fmt: skip
    low, high = found.interval(rule.confidence_level)
    lower, upper = test.interval
    loss = float(found.loss_of_challenger)
    return VariantPosterior(
        clusters=moments.n,
        exposures=own.predictions,
        mean_difference=float(found.mean),
        credible_interval=(float(low), float(high)),
        probability_better=float(found.probability_better),
        expected_loss=loss,
        expected_loss_of_champion=loss - float(found.mean),
        probability_equivalent=float(found.probability_within(0.5 * rule.minimum_detectable_effect * base)),
        relative_difference=float(found.mean) / base if base else None,
        relative_interval=(float(low) / base, float(high) / base) if base else None,
        error_fraction=fraction,
        probability_more_errors=_more_errors(rule, champion, own),
        observed_difference=test.mean,
        confidence_sequence=(lower, upper) if math.isfinite(lower) else None,
        planned_clusters=math.ceil(min(test.planned, 1e15)),
        guardrails=states,
    )


def _more_errors(rule: Rule, champion: VariantEvidence, own: VariantEvidence) -> float | None:
    """P(the challenger's error fraction exceeds the champion's by more than what is negligible)."""
    if champion.predictions == 0 or own.predictions == 0:
        return None
    a, b = after(champion.errors, champion.predictions), after(own.errors, own.predictions)
    margin = rule.max_error_fraction_increase
    (mean_a, var_a), (mean_b, var_b) = _moments(a), _moments(b)
    more, sd = mean_b - mean_a - margin, math.sqrt(var_a + var_b)
    if abs(more) > FAR * sd:
        return float(more > 0.0)
    if is_small(champion.errors, champion.predictions) or is_small(own.errors, own.predictions):
        return probability_greater(b, a, margin)
    return float(Belief(-more, sd).probability_better)


def _moments(beta: tuple[float, float]) -> tuple[float, float]:
    total = beta[0] + beta[1]
    return beta[0] / total, beta[0] * beta[1] / (total * total * (total + 1.0))
