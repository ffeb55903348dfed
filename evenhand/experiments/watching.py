"""The guardrails of a challenger: each metric with what is known of it, and with its share of alpha."""

from evenhand.events import Moments, VariantEvidence
from evenhand.experiments.experiment import ERROR_RATE, SUCCESS, Experiment, Guardrail
from evenhand.experiments.guardrail import (
    Watched,
    watch_counts,
    watch_difference,
    watch_errors,
    watch_loss,
    watch_ratio,
)
from evenhand.experiments.standing import Standing
from evenhand.metrics import slow_responses
from evenhand.metrics.measure import MEASURES

ERRORS = Guardrail(metric=ERROR_RATE, margin=2.0)
"""Always watched: who answers with an error has no loss, and would look the better for it."""
ALPHA = 0.05
_NONE = VariantEvidence()


def watch(experiment: Experiment, standing: Standing, name: str, challengers: int) -> dict[str, Watched]:
    """All guardrails of a challenger, by metric; the family of all guardrails and challengers shares alpha."""
    rule = experiment.rule
    if not rule.guardrails:
        return {ERROR_RATE: _watch_errors(ERRORS, experiment, standing, name, ALPHA / challengers)}
    watched = rule.guardrails if rule.watches(ERROR_RATE) else (ERRORS, *rule.guardrails)
    alpha, found = ALPHA / len(watched) / challengers, {}
    for each in watched:
        watch_one = _watch_errors if each.metric == ERROR_RATE else _watch
        found[each.metric] = watch_one(each, experiment, standing, name, alpha)
    return found


def _watch_errors(guardrail: Guardrail, experiment: Experiment, standing: Standing, name: str, alpha: float) -> Watched:
    variants, margin, harm = standing.variants, guardrail.margin, guardrail.harm
    champion, own = variants.get(experiment.champion, _NONE), variants.get(name, _NONE)
    return watch_errors(
        (champion.errors, champion.predictions), (own.errors, own.predictions), margin,
        margin if harm is None else harm, experiment.rule.max_error_fraction_increase, alpha,
    )  # fmt: skip


def _watch(guardrail: Guardrail, experiment: Experiment, standing: Standing, name: str, alpha: float) -> Watched:
    metric, margin = guardrail.metric, guardrail.margin
    harm = margin if guardrail.harm is None else guardrail.harm
    if metric == slow_responses.NAME:
        return _watch_slow(guardrail, experiment, standing, name, alpha)
    if metric == SUCCESS:
        if experiment.measure is None:
            return _watch_success(guardrail, experiment, standing, name, alpha)
        metric = experiment.measure.name
    strata = standing.strata(experiment, metric, name)
    if any(each.name == metric and each.better == "higher" for each in experiment.metrics):
        strata = [(challenger, of_champion) for of_champion, challenger in strata]
    if not strata:
        return Watched("undetermined", None, None, f"no {metric} in the evidence of both variants yet")
    if guardrail.unit == "difference":
        return watch_difference(strata, margin, harm, guardrail.too_good, alpha)
    of_logarithms = metric in MEASURES and MEASURES[metric].is_logarithm
    return watch_ratio(strata, margin, harm, guardrail.too_good, alpha, of_logarithms=of_logarithms)


def _watch_slow(guardrail: Guardrail, experiment: Experiment, standing: Standing, name: str, alpha: float) -> Watched:
    limit, harm = standing.slow.limit, guardrail.margin if guardrail.harm is None else guardrail.harm
    if limit is None:
        return Watched(
            "undetermined", None, None,
            f"{sum(standing.slow.reference.values())} response times of the champion, not {slow_responses.ENOUGH}",
        )  # fmt: skip
    nobody = 0, 0
    found = watch_counts(
        [(held.get(experiment.champion, nobody), held.get(name, nobody)) for held in standing.slow.counts.values()],
        guardrail.margin, harm, alpha,
    )  # fmt: skip
    reason = f"slower than {slow_responses.milliseconds(limit):.4g} ms: {found.reason}"
    return Watched(found.state, found.estimate, found.interval, reason)


def _watch_success(
    guardrail: Guardrail, experiment: Experiment, standing: Standing, name: str, alpha: float
) -> Watched:
    champion, own = standing.variants.get(experiment.champion, _NONE), standing.variants.get(name, _NONE)
    none, metric = Moments(), experiment.success_metric
    paired, inflation = own.paired.get(metric, none), 1.0
    if experiment.block_s:
        blocks = standing.observations(experiment, name)
        if blocks.n < 2 or paired.n < 2 or paired.m2 <= 0.0:
            return Watched("undetermined", None, None, f"{blocks.n} blocks so far")
        inflation = max(1.0, blocks.m2 / (blocks.n - 1) / blocks.n / (paired.m2 / (paired.n - 1) / paired.n))
    return watch_loss(
        champion.losses.get(metric, none), own.losses.get(metric, none), paired, inflation, guardrail, alpha
    )
