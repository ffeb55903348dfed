"""A watch over a model's features, epoch by epoch: learning, armed, drifted, and armed again with a new reference."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from evenhand.drift.base import Verdict
from evenhand.drift.evidence import EpochEvidence
from evenhand.drift.panel import Feature, Panel, panel_of
from evenhand.drift.sample import Sample
from evenhand.drift.wealth import Wealth

Phase = Literal["learning", "armed", "drifted"]


class WatchRule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How many false alarms are allowed, of how many events a new reference is made, and how `panel_of` makes it.

    A small reference makes cautious bets: 2,000 events see a change of half a standard deviation, 500 one of a whole.
    """

    per_100k: Annotated[float, Meta(gt=0)] | None = None
    per_month: Annotated[float, Meta(gt=0)] | None = None
    reference_size: Annotated[int, Meta(ge=100, le=20_000)] = 2000
    max_thinning: Annotated[int, Meta(ge=1)] | None = None
    is_loss: bool = False

    def __post_init__(self) -> None:
        if (self.per_100k is None) == (self.per_month is None):
            raise ValueError("give either per_100k or per_month: how many false alarms are allowed")


class Watch(msgspec.Struct, frozen=True, kw_only=True):
    """The state. `generation` counts references: evidence against an older one is of no use.

    `sample` is what a new reference is being made of, outside `armed`.
    """

    phase: Phase
    generation: int = 0
    panel: Panel | None = None
    wealth: Wealth | None = None
    sample: Sample | None = None
    epoch: int | None = None


class DriftBegan(msgspec.Struct, frozen=True, kw_only=True, tag="began"):
    """An alarm of the whole panel."""

    epoch: int
    verdict: Verdict


class DriftEnded(msgspec.Struct, frozen=True, kw_only=True, tag="ended"):
    """There is a new reference: what came after the alarm is normal now."""

    epoch: int
    reason: str


Signal = DriftBegan | DriftEnded


def begin(rule: WatchRule, features: tuple[str, ...], panel: Panel | None = None) -> Watch:
    """Armed with a version's training sample, or else learning from the stream itself."""
    if panel is not None:
        return Watch(phase="armed", panel=panel, wealth=panel.start())
    return Watch(phase="learning", sample=Sample(size=rule.reference_size, features=features))


def reference_panel(rule: WatchRule, columns: Mapping[str, Any], before: Mapping[str, Feature]) -> Panel:
    """The panel of a reference. A sample with gaps hides autocorrelation, so what was known of it before stays."""
    panel = panel_of(
        columns, per_100k=rule.per_100k, per_month=rule.per_month, max_thinning=rule.max_thinning, is_loss=rule.is_loss
    )
    features = {
        name: msgspec.structs.replace(one, every=max(one.every, before[name].every)) if name in before else one
        for name, one in panel.features.items()
    }
    return Panel(features=features, per_100k=rule.per_100k, per_month=rule.per_month)


def step(
    rule: WatchRule, watch: Watch, epoch: int, epoch_ms: int, evidence: EpochEvidence | None, sample: Sample | None
) -> tuple[Watch, tuple[Signal, ...]]:
    """The watch after an epoch, and what is to be said of it.

    `evidence` and `sample` are merged over the partitions: evidence while the watch is armed, else a sample of size
    `reference_size`. An epoch that was heard of before changes nothing, nor does evidence of another phase.
    """
    if watch.epoch is not None and epoch <= watch.epoch:
        return watch, ()
    watch = msgspec.structs.replace(watch, epoch=epoch)
    if watch.phase == "armed" and watch.panel is not None and watch.wealth is not None:
        if evidence is None:
            return watch, ()
        panel, wealth = watch.panel, watch.panel.absorb(watch.wealth, evidence, epoch_ms)
        watch = msgspec.structs.replace(watch, wealth=wealth)
        if wealth.alarm_at is None:
            return watch, ()
        began = DriftBegan(epoch=epoch, verdict=panel.verdict(wealth))
        empty = Sample(size=rule.reference_size, features=tuple(panel.features))
        return msgspec.structs.replace(watch, phase="drifted", sample=empty), (began,)
    if watch.sample is None or sample is None:
        return watch, ()
    grown = watch.sample.merge(sample)
    if grown.seen < rule.reference_size:
        return msgspec.structs.replace(watch, sample=grown), ()
    return _armed(rule, watch, grown, epoch)


def _armed(rule: WatchRule, watch: Watch, sample: Sample, epoch: int) -> tuple[Watch, tuple[Signal, ...]]:
    panel = reference_panel(rule, sample.columns(), {} if watch.panel is None else watch.panel.features)
    reason = f"a new reference of {len(sample.rows)} events"
    ended = (DriftEnded(epoch=epoch, reason=reason),) if watch.phase == "drifted" else ()
    generation = watch.generation + 1
    return Watch(phase="armed", generation=generation, panel=panel, wealth=panel.start(), epoch=epoch), ended
