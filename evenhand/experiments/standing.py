"""How an experiment stands: all evidence so far, and what earlier looks have settled."""

from collections.abc import Mapping

import msgspec

from evenhand.events import CoMoments, Moments, Phase, VariantEvidence
from evenhand.experiments import blocks
from evenhand.experiments.evidence import merge_phases, merge_variants
from evenhand.experiments.experiment import Experiment
from evenhand.experiments.slow import Slow
from evenhand.experiments.strata import adjusted_difference, as_moments, difference_of_means


class Standing(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Everything that a decision is a function of. O(variants), whatever the number of events.

    `closed` and `open` are blocks of event time, by challenger, where forecasts overlap. `base` is the champion's loss
    at the first look: it fixes prior and planned end. `past_end` names challengers whose planned end has been looked
    at, `stopped` those that have left, and `frozen` says why nothing is decided any more. `absent` are those that no
    weights of the last epoch named: somebody has dropped them. `reweighted_ms` is when a bandit last gave weights.
    `prior_sd` is the prior's, as a fraction of the champion's loss, where past experiments have said it.
    """

    variants: dict[str, VariantEvidence] = {}
    phases: dict[str, Phase] = {}
    closed: dict[str, CoMoments] = {}
    open: dict[str, blocks.Block] = {}
    began_ms: int = 0
    reached_ms: int = 0
    base: float | None = None
    past_end: tuple[str, ...] = ()
    stopped: tuple[str, ...] = ()
    frozen: str = ""
    slow: Slow = Slow()
    absent: tuple[str, ...] = ()
    reweighted_ms: int = 0
    prior_sd: float | None = None

    def observations(self, experiment: Experiment, name: str) -> Moments:
        """What a challenger's difference to the champion is estimated from: clusters, or closed blocks of them."""
        metric = experiment.measure
        if metric is not None:
            found = (
                adjusted_difference(self.strata(experiment, metric.adjusted, name))
                if metric.covariate
                else difference_of_means(self.strata(experiment, metric.name, name))
            )
            return as_moments(found, is_better_higher=metric.better == "higher")
        if experiment.block_s:
            return blocks.as_moments(self.closed.get(name, CoMoments()))
        own = self.variants.get(name)
        return Moments() if own is None else own.paired.get(experiment.success_metric, Moments())

    def strata(self, experiment: Experiment, metric: str, name: str) -> list[tuple[CoMoments, CoMoments]]:
        """Of each phase what champion and challenger served, where both did."""
        of = experiment.champion
        found = [
            (phase.ratios[of][metric], phase.ratios[name][metric])
            for phase in self.phases.values()
            if metric in phase.ratios.get(of, {}) and metric in phase.ratios.get(name, {})
        ]
        a, b = self.variants.get(of), self.variants.get(name)
        if a is not None and b is not None and metric in a.ratios and metric in b.ratios:
            found.append((a.ratios[metric], b.ratios[metric]))
        return found

    def loss(self, experiment: Experiment, name: str) -> float:
        """A variant's own mean loss so far, or what users report of it; 0.0 while nothing has matured."""
        if experiment.measure is not None:
            sums = [each for _, each in self.strata(experiment, experiment.success_metric, name)]
            found = difference_of_means((each, each) for each in sums)
            return 0.0 if found is None else found.champion
        own = self.variants.get(name)
        return own.losses.get(experiment.success_metric, Moments()).mean if own else 0.0


def absorb(
    experiment: Experiment,
    standing: Standing,
    epoch: int,
    variants: Mapping[str, VariantEvidence],
    phases: Mapping[str, Phase] | None = None,
) -> Standing:
    """The standing after an epoch's evidence, of all partitions; epochs come in order."""
    start_ms, end_ms = epoch * experiment.epoch_s * 1000, (epoch + 1) * experiment.epoch_s * 1000
    closed, current = dict(standing.closed), dict(standing.open)
    if experiment.block_s:
        number = start_ms // (experiment.block_s * 1000)
        for name in experiment.challengers:
            paired = variants[name].paired if name in variants else {}
            closed[name], current[name] = blocks.add(
                closed.get(name, CoMoments()), current.get(name, blocks.Block()), number,
                paired.get(experiment.success_metric, Moments()),
            )  # fmt: skip
    return msgspec.structs.replace(
        standing,
        variants=merge_variants(standing.variants, variants),
        phases=merge_phases(standing.phases, {of: _without_times(phase) for of, phase in (phases or {}).items()}),
        slow=standing.slow.take(experiment.champion, phases or {}),
        absent=_absent(experiment, standing, phases or {}),
        closed=closed,
        open=current,
        began_ms=standing.began_ms or start_ms,
        reached_ms=end_ms,
    )


def _without_times(phase: Phase) -> Phase:
    """What has been counted by `slow` is not kept twice."""
    return msgspec.structs.replace(phase, times={}) if phase.times else phase


def _absent(experiment: Experiment, standing: Standing, phases: Mapping[str, Phase]) -> tuple[str, ...]:
    """Challengers that were not in the weights under which the epoch's requests were served."""
    named = {name for phase in phases.values() if phase.requests for name in phase.weights}
    return tuple(name for name in experiment.challengers if name not in named) if named else standing.absent
