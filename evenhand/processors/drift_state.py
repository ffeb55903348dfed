"""What the judge of drift keeps of one model under one policy."""

from collections.abc import Mapping, Sequence
from typing import Any, Self

import msgspec

from evenhand.drift.estimator import EstimatorRule, EstimatorState
from evenhand.drift.line import Line, LineState
from evenhand.drift.watch import WatchRule
from evenhand.events import EpochMeasured, SampledRow
from evenhand.monitoring import DriftRule, Watched

KINDS: tuple[Watched, ...] = ("inputs", "predictions", "losses")
PER_MONTH = 1.0  # where nothing is set
RECENT = 1024
SAMPLE = "l/"


def sample_row(subject: str, kind: str, generation: int, epoch: int | None = None) -> bytes:
    """The key of a part of a sample; without an epoch, what the keys of all parts of a generation begin with."""
    start = f"{SAMPLE}{subject}/{kind}/{generation}/"
    return start.encode() if epoch is None else f"{start}{epoch}".encode()


class WatchingState(msgspec.Struct, frozen=True, kw_only=True):
    """As one state row; `has_training` says whether the inputs' first reference was the training sample.

    `recent` has the last clusters that were looked at, by kind: what comes of them later is no other row.
    """

    model: str
    champion: str
    rule: DriftRule
    loss: str
    has_training: bool
    lines: dict[str, LineState]
    estimator: EstimatorState
    recent: dict[str, list[str]] = {}


class Watching:
    """The lines over one served version."""

    def __init__(self, model: str, champion: str, rule: DriftRule, loss: str, *, has_training: bool) -> None:
        self.model, self.champion, self.rule, self.loss = model, champion, rule, loss
        self.has_training = has_training
        self.names = rule.looked_at
        self.estimator = EstimatorState()
        self.recent: dict[str, list[str]] = {}
        lines = [kind for kind in KINDS if kind in rule.watched and (kind != "inputs" or self.names)]
        window = rule.window if rule.reference == "window" else None
        names = {"inputs": self.names, "predictions": ("prediction",), "losses": (loss,)}
        self.lines = {kind: Line(_watch_rule(rule, kind, len(lines)), names[kind], window) for kind in lines}
        share = (rule.false_alarms_per_100k or 1.0) / max(1, len(lines))
        self.has_estimator = "expected_loss" in rule.watched
        self.estimator_rule = EstimatorRule(
            false_alarms_per_100k=share, margin=rule.warning_margin, reference_size=rule.reference_size
        )

    @classmethod
    def begun(cls, first: EpochMeasured, rule: DriftRule, reference: Mapping[str, Any] | None) -> Self:
        """From the first epoch of a version on. Its training sample is a reference only if it has every feature."""
        names = rule.looked_at
        is_known = reference is not None and rule.reference == "training" and set(names) <= set(reference)
        made = cls(first.model, first.champion, rule, first.monitoring.loss, has_training=is_known)
        if "inputs" in made.lines and is_known and reference is not None:
            made.lines["inputs"].arm({name: reference[name] for name in names})
        return made

    @classmethod
    def restored(
        cls, state: WatchingState, reference: Mapping[str, Any] | None, samples: Mapping[bytes, bytes]
    ) -> Self:
        """From state rows."""
        made = cls(state.model, state.champion, state.rule, state.loss, has_training=state.has_training)
        made.estimator, made.recent = state.estimator, state.recent
        by: dict[tuple[str, int], list[SampledRow]] = {}
        for key, value in sorted(samples.items()):
            _, kind, generation, _ = key.removeprefix(SAMPLE.encode()).decode().rsplit("/", 3)
            by.setdefault((kind, int(generation)), []).extend(msgspec.json.decode(value, type=list[SampledRow]))
        for kind, line in made.lines.items():
            its = state.lines[kind]
            known: Mapping[str, Any] | Sequence[SampledRow] | None = by.get((kind, its.generation))
            if its.generation == 0 and reference is not None:
                known = {name: reference[name] for name in made.names}
            line.restore(its, known, by.get((kind, its.generation + 1), []))
        return made

    def state(self) -> WatchingState:
        """As a state row; the samples lie in rows of their own."""
        return WatchingState(
            model=self.model, champion=self.champion, rule=self.rule, loss=self.loss, has_training=self.has_training,
            lines={kind: line.state() for kind, line in self.lines.items()}, estimator=self.estimator,
            recent=self.recent,
        )  # fmt: skip

    def fresh(self, kind: str, rows: Sequence[SampledRow]) -> tuple[SampledRow, ...]:
        """Rows of clusters that were not looked at in an earlier epoch."""
        known = self.recent.get(kind, [])
        seen = set(known)
        found = tuple(row for row in rows if row.hash not in seen)
        self.recent[kind] = [*known, *(row.hash for row in found)][-RECENT:]
        return found


def _watch_rule(rule: DriftRule, kind: str, lines: int) -> WatchRule:
    """The budget of false alarms is shared by all that is watched."""
    per_100k = None if rule.false_alarms_per_100k is None else rule.false_alarms_per_100k / lines
    per_month = None if per_100k is not None else (rule.false_alarms_per_month or PER_MONTH) / lines
    return WatchRule(
        per_100k=per_100k, per_month=per_month, reference_size=rule.reference_size, max_thinning=rule.max_thinning,
        is_loss=kind == "losses",
    )  # fmt: skip
