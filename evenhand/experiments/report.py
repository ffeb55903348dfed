"""What is known of an experiment, worked out again from its evidence by the functions that judged it."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import msgspec

from evenhand.events import DecisionMade, EvidenceReported, Phase, VariantEvidence, VariantPosterior
from evenhand.experiments.comparison import compare
from evenhand.experiments.decision import TERMINAL, Verdict, decide
from evenhand.experiments.evidence import merge_phases, merge_variants
from evenhand.experiments.experiment import Experiment
from evenhand.experiments.guardrail import Watched
from evenhand.experiments.plan import Progress, progress
from evenhand.experiments.srm import mismatch
from evenhand.experiments.standing import Standing, absorb

Place = tuple[str, int, int, int]
STATES = {
    "promote": "promoted", "stop_harm": "stopped for harm", "stop_futility": "stopped for futility",
    "abort": "aborted", "frozen": "frozen", "no_data": "running, no data", "continue": "running",
}  # fmt: skip


class Decided(NamedTuple):
    """A decision and where its evidence lies: topic, partition, first and last offset."""

    decision: DecisionMade
    places: Sequence[Place] = ()


class Arm(msgspec.Struct, frozen=True, kw_only=True):
    """A variant's books. `open` are predictions without an outcome, so far or for ever."""

    name: str
    version: str
    share: float
    served: int
    predictions: int
    errors: int
    matured: int
    open: int
    loss: float


class Challenger(msgspec.Struct, frozen=True, kw_only=True):
    """A challenger against the champion: what is believed, what is certified, and what is guarded."""

    name: str
    posterior: VariantPosterior
    certified: str
    is_past_end: bool
    guardrails: dict[str, Watched]
    progress: Progress


class Exposed(msgspec.Struct, frozen=True, kw_only=True):
    """Requests that each variant served in an epoch that ended then."""

    end_ms: int
    served: dict[str, int]


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """An experiment after its last look. `agrees` says whether the evidence leads to the decisions that were made."""

    name: str
    model: str
    state: str
    variant: str | None
    reasons: tuple[str, ...]
    agrees: bool
    began_ms: int
    reached_ms: int
    looks: int
    experiment: Experiment
    arms: tuple[Arm, ...]
    challengers: tuple[Challenger, ...]
    mismatch: str | None
    phases: tuple[Phase, ...]
    exposures: tuple[Exposed, ...]
    evidence: tuple[Place, ...]
    configuration_digest: str
    evidence_digest: str

    @property
    def certified_level(self) -> float:
        """Of the intervals that hold at every look."""
        return self.experiment.rule.confidence_level


class Played(NamedTuple):
    """A trial judged again: what it was, how it stands, what was said of each epoch, who served, its phases."""

    experiment: Experiment
    standing: Standing
    verdicts: dict[int, Verdict]
    exposures: list[Exposed]
    controls: tuple[str, ...]


def report(name: str, reported: Iterable[EvidenceReported], decided: Iterable[Decided]) -> Report | None:
    """What `evidence.v1` and `decisions.v1` say of an experiment, repeats and others among them; None if nothing.

    Epochs are judged again one after the other, up to the last one that was decided, or that ended it. A prior that
    past experiments of the model had earned by then stands in the decisions.
    """
    first: dict[str, Decided] = {}
    for each in decided:
        if each.decision.subject == name:
            first.setdefault(each.decision.id, each)
    decisions = sorted(first.values(), key=lambda each: (each.decision.epochs, each.decision.id))
    epochs: dict[int, dict[int, EvidenceReported]] = {}  # by last epoch and partition
    for event in reported:
        if event.variants and event.subject == name:
            epochs.setdefault(event.last_epoch, {}).setdefault(event.partition, event)
    if not decisions or not epochs:
        return None
    last = decisions[-1]
    prior_sd = next((each.decision.prior_sd for each in decisions if each.decision.prior_sd is not None), None)
    played = _played(epochs, last.decision.epochs[1], prior_sd)
    experiment, standing = played.experiment, played.standing
    phases = tuple([standing.phases[of] for of in played.controls])
    made = {each.decision.epochs[1]: each.decision for each in decisions if each.decision.action != "no_data"}
    final = next((each for each in reversed(decisions) if each.decision.action in TERMINAL), last)
    looked = next((each for each in reversed(decisions) if each.decision.action != "no_data"), last)
    return Report(
        name=name, model=last.decision.model, state=_state(experiment, standing, final.decision, last.decision),
        variant=final.decision.variant, reasons=final.decision.reasons, agrees=_agree(made, played.verdicts),
        began_ms=standing.began_ms, reached_ms=standing.reached_ms, looks=len(played.exposures),
        experiment=experiment, arms=_arms(experiment, standing, phases), challengers=_challengers(experiment, standing),
        mismatch=standing.frozen or mismatch(standing.phases.values()), phases=phases,
        exposures=tuple(played.exposures), evidence=tuple(looked.places),
        configuration_digest=last.decision.configuration_digest, evidence_digest=looked.decision.evidence_digest,
    )  # fmt: skip


def _agree(made: dict[int, DecisionMade], verdicts: dict[int, Verdict]) -> bool:
    return made.keys() == verdicts.keys() and all(
        (made[epoch].action, made[epoch].reasons) == (verdict.action, verdict.reasons)
        for epoch, verdict in verdicts.items()
    )


def _played(own: dict[int, dict[int, EvidenceReported]], until: int, prior_sd: float | None) -> Played:
    """Judge a subject's epochs again, as the posterior agent does."""
    trial = next(iter(own[min(own)].values()))
    experiment, standing = trial.experiment, Standing(prior_sd=prior_sd)
    verdicts: dict[int, Verdict] = {}
    exposures: list[Exposed] = []
    controls: dict[str, None] = {}  # as a set in the order in which they began
    for epoch in sorted(epoch for epoch in own if epoch <= until):
        variants, phases = _merged(own[epoch])
        verdict = verdicts[epoch] = decide(experiment, absorb(experiment, standing, epoch, variants, phases))
        standing = verdict.standing
        controls |= dict.fromkeys(of for of in phases if of in standing.phases)
        served = {each: evidence.served for each, evidence in variants.items()}
        exposures.append(Exposed(end_ms=(epoch + 1) * experiment.epoch_s * 1000, served=served))
        if verdict.action == "promote" or set(standing.stopped) >= set(experiment.challengers):
            break
    return Played(experiment, standing, verdicts, exposures, tuple(controls))


def unseen(experiment: Experiment) -> Report:
    """The report of an experiment at which no look has been taken yet."""
    standing = Standing()
    return Report(
        name=experiment.name, model=experiment.model, state=STATES["no_data"], variant=None,
        reasons=("no epoch has been judged yet",), agrees=True, began_ms=0, reached_ms=0, looks=0,
        experiment=experiment, arms=_arms(experiment, standing, ()), challengers=_challengers(experiment, standing),
        mismatch=None, phases=(), exposures=(), evidence=(), configuration_digest="-", evidence_digest="-",
    )  # fmt: skip


def _merged(partitions: dict[int, EvidenceReported]) -> tuple[dict[str, VariantEvidence], dict[str, Phase]]:
    variants: dict[str, VariantEvidence] = {}
    phases: dict[str, Phase] = {}
    for partition in sorted(partitions):
        variants = merge_variants(variants, partitions[partition].variants)
        phases = merge_phases(phases, partitions[partition].phases)
    return variants, phases


def _state(experiment: Experiment, standing: Standing, final: DecisionMade, last: DecisionMade) -> str:
    if final.action == "promote" or set(standing.stopped) >= set(experiment.challengers):
        return STATES[final.action]
    return STATES[last.action if last.action not in TERMINAL else "continue"]


def _arms(experiment: Experiment, standing: Standing, phases: tuple[Phase, ...]) -> tuple[Arm, ...]:
    """The share is that of the last phase."""
    weights = phases[-1].weights if phases else {each.name: each.weight for each in experiment.variants}
    total, none = sum(weights.values()), VariantEvidence()
    found = []
    for variant in experiment.variants:
        own = standing.variants.get(variant.name, none)
        found.append(
            Arm(
                name=variant.name, version=variant.version, share=weights.get(variant.name, 0) / total,
                served=own.served, predictions=own.predictions, errors=own.errors, matured=own.matured,
                open=max(0, own.predictions - own.errors - own.matured), loss=standing.loss(experiment, variant.name),
            )
        )  # fmt: skip
    return tuple(found)


def _challengers(experiment: Experiment, standing: Standing) -> tuple[Challenger, ...]:
    found = []
    for name in experiment.challengers:
        each = compare(experiment, standing, name, len(experiment.challengers))
        test = each.test
        certified = (
            "neither" if test is None else "better" if test.is_better else "worse" if test.is_worse else "neither"
        )
        found.append(
            Challenger(
                name=name, posterior=each.posterior, certified=certified, is_past_end=name in standing.past_end,
                guardrails=each.guardrails,
                progress=progress(experiment, standing, name, each.posterior.planned_clusters),
            )
        )  # fmt: skip
    return tuple(found)
