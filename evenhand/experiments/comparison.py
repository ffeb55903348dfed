"""A challenger against the champion: the posterior and the sequential test side by side, and the guardrails."""

import math

import msgspec
from msgspec.structs import replace

from evenhand.events import Moments, VariantEvidence, VariantPosterior
from evenhand.experiments.beta import probability_more
from evenhand.experiments.experiment import Experiment, Rule
from evenhand.experiments.guardrail import Watched
from evenhand.experiments.missing import at_worst
from evenhand.experiments.plan import effective_size
from evenhand.experiments.posterior import Belief, belief, sceptical_prior
from evenhand.experiments.sequential import Design, half_width, planned_size
from evenhand.experiments.srm import missing_fraction
from evenhand.experiments.standing import Standing
from evenhand.experiments.watching import watch

_NONE = VariantEvidence()


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
    confidence, early = rule.confidence_level, rule.early_stopping_confidence
    promote = Design(
        (1.0 - confidence) / challengers, effect, rule.power, rule.minimum_sample_size, rule.maximum_sample_size,
        not rule.early_stopping_enabled,
    )  # fmt: skip
    return promote, promote if early == confidence else replace(promote, alpha=(1.0 - early) / challengers)


def look(promote: Design, harm: Design, moments: Moments, *, is_past_end: bool) -> Test | None:
    """The sequential test of a mean difference (negative: better); None while it cannot be judged."""
    count, mean, m2 = moments.n, moments.mean, moments.m2
    if count < 2 or m2 <= 0.0:
        return None
    n, sd = float(count), math.sqrt(m2 / (count - 1))
    planned = planned_size(promote, sd)
    half = half_width(promote, n, sd, is_past_end=is_past_end, end=planned)
    half_harm = half if harm is promote else half_width(harm, n, sd, is_past_end=is_past_end)
    is_end = n >= max(planned, promote.minimum)
    return Test(mean, (mean - half, mean + half), mean < -half, mean > half_harm, planned, is_end)


def compare(experiment: Experiment, standing: Standing, name: str, challengers: int) -> Comparison:
    """One challenger, of so many that are on trial; 11 µs."""
    rule, variants = experiment.rule, standing.variants
    own, champion = variants.get(name, _NONE), variants.get(experiment.champion, _NONE)
    moments = standing.observations(experiment, name)
    test, found, base = None, None, standing.base
    if base is None:
        base = abs(standing.loss(experiment, experiment.champion))
    effect = rule.minimum_detectable_effect * base
    if effect > 0.0:
        promote, harm = designs(rule, effect, challengers)
        test = look(promote, harm, moments, is_past_end=name in standing.past_end)
    if test is not None:
        prior = sceptical_prior(effect) if standing.prior_sd is None else standing.prior_sd * base
        found = belief(moments.mean, moments.m2 / (moments.n - 1) / moments.n, prior)
    guardrails = watch(experiment, standing, name, challengers)
    missing, worst = missing_fraction(standing.phases.values()), None
    if missing and test is not None and experiment.measure is None and test.interval[1] < math.inf:
        worst = at_worst(experiment, own.paired.get(experiment.success_metric, moments), test.interval[1], missing)
    posterior = _posterior(rule, moments, (champion, own), found, test, base, guardrails, (missing, worst))
    if experiment.block_s:
        paired = own.paired.get(experiment.success_metric, Moments())
        posterior = replace(posterior, effective_clusters=effective_size(paired, moments))
    return Comparison(name, moments, own.predictions, found, test, effect, guardrails, posterior, missing, worst)


def _posterior(
    rule: Rule,
    moments: Moments,
    arms: tuple[VariantEvidence, VariantEvidence],
    found: Belief | None,
    test: Test | None,
    base: float,
    guardrails: dict[str, Watched],
    missed: tuple[float, float | None],
) -> VariantPosterior:
    (champion, own), (missing, worst) = arms, missed
    states: dict[str, str] = {}
    for metric, watched in guardrails.items():
        states[metric] = watched.state
    fraction = own.errors / own.predictions if own.predictions else None
    more_errors = probability_more(
        (own.errors, own.predictions), (champion.errors, champion.predictions), rule.max_error_fraction_increase
    )
    if found is None or test is None:
        return VariantPosterior(
            clusters=moments.n, exposures=own.predictions, error_fraction=fraction, guardrails=states,
            probability_more_errors=more_errors, missing_fraction=missing or None,
            worst_case_difference=worst,
        )  # fmt: skip
    better, loss, equivalent = found.of_numbers(0.5 * rule.minimum_detectable_effect * base)
    mean, interval, at_all_looks = found.mean, found.interval(rule.confidence_level), test.interval
    low, high = interval
    return VariantPosterior(
        clusters=moments.n,
        exposures=own.predictions,
        mean_difference=mean,
        credible_interval=interval,
        probability_better=better,
        expected_loss=loss,
        expected_loss_of_champion=loss - mean,
        probability_equivalent=equivalent,
        relative_difference=mean / base if base else None,
        relative_interval=(low / base, high / base) if base else None,
        error_fraction=fraction,
        probability_more_errors=more_errors,
        observed_difference=test.mean,
        confidence_sequence=at_all_looks if at_all_looks[1] < math.inf else None,
        planned_clusters=math.ceil(min(test.planned, 1e15)),
        guardrails=states,
        missing_fraction=missing or None,
        worst_case_difference=worst,
    )
