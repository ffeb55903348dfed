"""What follows from the posteriors: continue, promote, or stop for harm, with the reasons in words."""

import msgspec

from evenhand.events import Action, VariantEvidence, VariantPosterior
from evenhand.experiments.experiment import Experiment
from evenhand.experiments.posterior import posterior

TERMINAL = ("promote", "stop_harm", "stop_futility", "abort")


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """An action, the variant that it is about, and why."""

    action: Action
    reasons: tuple[str, ...]
    variant: str | None = None
    summary: dict[str, VariantPosterior] = {}


def decide(experiment: Experiment, evidence: dict[str, VariantEvidence], stopped: tuple[str, ...] = ()) -> Verdict:
    """Judge the challengers that are not stopped, on all evidence so far. Harm goes before promotion.

    A simple expected-loss rule: it is watched at every epoch, so its thresholds are strict.
    """
    running = [name for name in experiment.challengers if name not in stopped]
    summary = {name: posterior(experiment, evidence, name) for name in running}
    for name, believed in summary.items():
        reason = _harm(experiment, name, believed)
        if reason is not None:
            return Verdict(action="stop_harm", reasons=(reason,), variant=name, summary=summary)
    best = max(running, key=lambda name: summary[name].probability_better or 0.0)
    champion = evidence.get(experiment.champion, VariantEvidence()).losses.get(experiment.success_metric)
    reasons = _against_promotion(experiment, summary[best], champion.mean if champion else 0.0)
    if reasons:
        return Verdict(action="continue", reasons=tuple(f"{best}: {reason}" for reason in reasons), summary=summary)
    believed = summary[best]
    reason = (
        f"{best}: better with probability {believed.probability_better:.4f} on {believed.clusters} clusters, "
        f"relative difference of {experiment.success_metric} {believed.relative_difference:+.2%}"
    )
    return Verdict(action="promote", reasons=(reason,), variant=best, summary=summary)


def _harm(experiment: Experiment, name: str, believed: VariantPosterior) -> str | None:
    rule = experiment.rule
    more_errors, better = believed.probability_more_errors, believed.probability_better
    if (
        believed.exposures >= rule.minimum_exposures
        and more_errors is not None
        and more_errors >= rule.harm_probability
    ):
        return (
            f"{name}: fails on {believed.error_fraction:.2%} of {believed.exposures} requests, more than "
            f"{rule.max_error_fraction_increase:.2%} above the champion with probability {more_errors:.4f}"
        )
    if believed.clusters >= rule.minimum_sample_size and better is not None and 1 - better >= rule.harm_probability:
        return (
            f"{name}: worse with probability {1 - better:.4f} on {believed.clusters} clusters, "
            f"relative difference of {experiment.success_metric} {believed.relative_difference:+.2%}"
        )
    return None


def _against_promotion(experiment: Experiment, believed: VariantPosterior, champion_loss: float) -> list[str]:
    rule, reasons = experiment.rule, []
    if believed.clusters < rule.minimum_sample_size:
        reasons.append(f"{believed.clusters} matured clusters, {rule.minimum_sample_size} are wanted")
    if believed.probability_better is None or believed.expected_loss is None:
        reasons.append("no difference to the champion so far")
        return reasons
    if believed.probability_better < rule.promote_probability:
        reasons.append(
            f"better with probability {believed.probability_better:.4f}, {rule.promote_probability} is wanted"
        )
    if believed.expected_loss > rule.max_expected_loss * champion_loss:
        reasons.append(
            f"choosing it is expected to cost {believed.expected_loss:.3g}, "
            f"at most {rule.max_expected_loss * champion_loss:.3g} is allowed"
        )
    return reasons
