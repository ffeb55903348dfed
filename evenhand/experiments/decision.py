"""What follows: continue, promote, stop for harm or for futility, or freeze, with the reasons in words."""

import msgspec

from evenhand.events import Action, VariantPosterior
from evenhand.experiments.bandit import top_two
from evenhand.experiments.comparison import Comparison, compare
from evenhand.experiments.experiment import Bandit, Experiment
from evenhand.experiments.posterior import probability_best
from evenhand.experiments.several import called, log_e_value
from evenhand.experiments.srm import mismatch
from evenhand.experiments.standing import Standing

TERMINAL = ("promote", "stop_harm", "stop_futility", "abort")
UNLIKELY = 0.05
HALFWAY = 0.5


class Verdict(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """An action, the variant that it is about, and why; and the standing that the next look goes on from."""

    action: Action
    reasons: tuple[str, ...]
    variant: str | None = None
    summary: dict[str, VariantPosterior] = {}
    standing: Standing = Standing()
    weights: dict[str, int] | None = None


def decide(experiment: Experiment, standing: Standing) -> Verdict:
    """Judge the challengers that are not stopped, on all evidence so far. A failed check freezes, then harm counts."""
    challengers, gone = experiment.challengers, (*standing.stopped, *standing.absent)
    of = len(challengers)
    compared = [compare(experiment, standing, name, of) for name in challengers if name not in gone]
    standing = _settled(experiment, standing, compared)
    summary = _summary(compared)
    action, variant, reasons = _action(experiment, standing, compared)
    if action == "frozen" and not standing.frozen:
        standing = msgspec.structs.replace(standing, frozen=reasons[0])
    if action in TERMINAL and variant is not None:
        standing = msgspec.structs.replace(standing, stopped=(*standing.stopped, variant))
    weights = None
    if experiment.bandit is not None and action == "continue":
        weights = _weights(experiment, experiment.bandit, standing, compared, summary)
        if weights is not None:
            standing = msgspec.structs.replace(standing, reweighted_ms=standing.reached_ms)
    return Verdict(action=action, reasons=reasons, variant=variant, summary=summary, standing=standing, weights=weights)


def _weights(
    experiment: Experiment,
    bandit: Bandit,
    standing: Standing,
    compared: list[Comparison],
    summary: dict[str, VariantPosterior],
) -> dict[str, int] | None:
    """Those that the bandit gives, if it is time. It waits until it knows something of everybody."""
    enough, since_ms = experiment.rule.minimum_sample_size, standing.reached_ms
    since_ms -= standing.reweighted_ms or standing.began_ms
    if since_ms < bandit.every_s * 1000 or not compared:
        return None
    if any(each.belief is None or each.observations.n < enough for each in compared):
        return None
    best = {
        each.name: summary[each.name].probability_best or each.posterior.probability_better or 0.0 for each in compared
    }
    return top_two({experiment.champion: max(0.0, 1.0 - sum(best.values())), **best}, bandit)


def _action(
    experiment: Experiment, standing: Standing, compared: list[Comparison]
) -> tuple[Action, str | None, tuple[str, ...]]:
    frozen = standing.frozen or mismatch(standing.phases.values())
    if not frozen and experiment.rule.guardrails:
        frozen = _too_good(compared)
    if frozen:
        return "frozen", None, (frozen,)
    for each in compared:
        if reason := _harm(experiment, each):
            return "stop_harm", each.name, (f"{each.name}: {reason}",)
    better = _certified(experiment, compared)
    against = {each.name: _against_promotion(experiment, standing, each) for each in better} if better else {}
    free = [each for each in better if not against[each.name]] if better else None
    if free:
        best = min(free, key=lambda each: (each.posterior.mean_difference or 0.0, each.name))
        return "promote", best.name, (_better(experiment, best),)
    for each in compared:
        if each.name not in against and (reason := _futile(experiment, each)):
            return "stop_futility", each.name, (f"{each.name}: {reason}",)
    said: list[str] = []
    for each in compared:
        if reasons := against.get(each.name):
            said += [f"{each.name}: {reason}" for reason in reasons]
        else:
            said.append(f"{each.name}: {_waiting(experiment, each)}")
    return "continue", None, tuple(said) or ("no challenger is left",)


def _certified(experiment: Experiment, compared: list[Comparison]) -> list[Comparison]:
    """Who is better, by the rule for several challengers."""
    rule = experiment.rule
    if rule.multiplicity == "split":
        return [each for each in compared if each.test is not None and each.test.is_better]
    alpha = 1.0 - rule.confidence_level
    log_e = {each.name: log_e_value(each.observations, alpha, rule.minimum_sample_size) for each in compared}
    different = called(log_e, len(experiment.challengers), alpha)
    return [each for each in compared if each.name in different and each.observations.mean < 0.0]


def _settled(experiment: Experiment, standing: Standing, compared: list[Comparison]) -> Standing:
    """What this look settles for those that follow: the base at the first one, and who has seen the planned end."""
    rule = experiment.rule
    base, past = standing.base, standing.past_end
    for each in compared:
        if each.test is None:
            continue
        if each.test.is_end and each.name not in past:
            past = tuple(sorted({*past, each.name}))
        if base is None and each.observations.n >= rule.minimum_sample_size:
            base = abs(standing.loss(experiment, experiment.champion))
    if base == standing.base and past is standing.past_end:
        return standing
    return msgspec.structs.replace(standing, base=base, past_end=past)


def _summary(compared: list[Comparison]) -> dict[str, VariantPosterior]:
    if len(compared) == 1:
        return {compared[0].name: compared[0].posterior}
    summary = {each.name: each.posterior for each in compared}
    judged = [each for each in compared if each.belief is not None]
    if len(judged) > 1:
        means = [float(each.belief.mean) for each in judged if each.belief is not None]
        sds = [float(each.belief.sd) for each in judged if each.belief is not None]
        for each, best in zip(judged, probability_best(means, sds)[1:], strict=True):
            summary[each.name] = msgspec.structs.replace(each.posterior, probability_best=best)
    return summary


def _too_good(compared: list[Comparison]) -> str | None:
    for each in compared:
        for metric, watched in each.guardrails.items():
            if watched.state == "too_good":
                return f"{each.name}: {metric} is too good to be true, look for a leak: {watched.reason}"
    return None


def _harm(experiment: Experiment, each: Comparison) -> str | None:
    rule, test = experiment.rule, each.test
    if each.exposures >= rule.minimum_exposures:
        for metric, watched in each.guardrails.items():
            if watched.state == "breached":
                return f"guardrail {metric} is breached: {watched.reason}"
    if test is not None and test.is_worse:
        return f"certified worse at {rule.early_stopping_confidence:.4g}: {_difference(experiment, each)}"
    return None


def _against_promotion(experiment: Experiment, standing: Standing, each: Comparison) -> list[str]:
    """Why a challenger that is certified better is not promoted yet."""
    rule, reasons = experiment.rule, []
    lasted_s = (standing.reached_ms - standing.began_ms) // 1000
    if lasted_s < rule.minimum_duration_s:
        reasons.append(f"certified better, but {lasted_s} s of at least {rule.minimum_duration_s} s have passed")
    allowed = rule.max_expected_loss * abs(standing.loss(experiment, experiment.champion))
    if each.posterior.expected_loss is not None and each.posterior.expected_loss > allowed:
        reasons.append(
            f"choosing it is expected to cost {each.posterior.expected_loss:.3g}, at most {allowed:.3g} is allowed"
        )
    if each.missing and each.at_worst is not None and each.at_worst >= 0.0:
        reasons.append(
            f"{each.missing:.2%} of the outcomes never came: with those at their worst the difference could be "
            f"{each.at_worst:+.4g}"
        )
    reasons += [
        f"guardrail {metric} is not certified safe: {watched.reason}"
        for metric, watched in each.guardrails.items()
        if watched.state != "safe"
    ]
    return reasons


def _futile(experiment: Experiment, each: Comparison) -> str | None:
    test, found, rule = each.test, each.belief, experiment.rule
    if test is None or found is None:
        return None
    if test.is_end:
        return (
            f"the evidence that was planned for is all in, and it is not certified better at "
            f"{rule.confidence_level:.4g}: {_difference(experiment, each)}"
        )
    if not rule.early_stopping_enabled or each.observations.n < max(rule.minimum_sample_size, HALFWAY * test.planned):
        return None
    chance = float(found.probability_below(-0.5 * each.effect))
    if chance < UNLIKELY:
        return (
            f"an improvement of half of what matters ({rule.minimum_detectable_effect:.2%}) has probability "
            f"{chance:.4f}: {_difference(experiment, each)}"
        )
    return None


def _better(experiment: Experiment, each: Comparison) -> str:
    return f"{each.name}: certified better at {experiment.rule.confidence_level:.4g}: {_difference(experiment, each)}"


def _waiting(experiment: Experiment, each: Comparison) -> str:
    test, what = each.test, "blocks" if experiment.block_s else "clusters"
    if test is None:
        return f"no difference to the champion on {each.observations.n} {what} so far"
    if each.observations.n < experiment.rule.minimum_sample_size:
        return f"{each.observations.n} {what} matured, {experiment.rule.minimum_sample_size} are wanted"
    return f"neither better nor worse is certified: {_difference(experiment, each)}"


def _difference(experiment: Experiment, each: Comparison) -> str:
    """The estimate of the posterior, which is shrunken, and the interval of the test, which is valid at every look."""
    believed, test = each.posterior, each.test
    what = "blocks" if experiment.block_s else "clusters"
    relative = "" if believed.relative_difference is None else f" ({believed.relative_difference:+.2%})"
    interval = "" if test is None else f", confidence sequence [{test.interval[0]:.4g}, {test.interval[1]:.4g}]"
    planned = "" if believed.planned_clusters is None else f" of {believed.planned_clusters} planned"
    return (
        f"{experiment.success_metric} {believed.mean_difference:+.4g}{relative}{interval}, better with posterior "
        f"probability {believed.probability_better:.4f}, on {believed.clusters} {what}{planned}"
    )
