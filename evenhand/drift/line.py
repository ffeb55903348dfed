"""One thing that is watched of a model (its inputs, predictions or losses): a watch, and the sample it refers to.

A panel is made of its sample whenever it is needed, so that what is kept is the sample: rows, a few an epoch.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from evenhand.drift.panel import Feature, Panel
from evenhand.drift.sample import Row, Sample
from evenhand.drift.watch import Phase, Signal, Watch, WatchRule, begin, reference_panel, step
from evenhand.drift.wealth import Wealth
from evenhand.events import SampledRow

LEAST_WINDOW = 100
_LARGEST_SAMPLE = 20_000
_LONGEST_GAP_MS = 86_400_000  # a month without data is no reason for an alarm at its end


class LineState(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """All of a line but its sample. `every` says of each feature how many rows apart two are looked at."""

    phase: Phase
    generation: int = 0
    epoch: int | None = None
    wealth: Wealth | None = None
    every: dict[str, int] = {}


class Line:
    """A watch over named columns. With `window`, the first reference is what lies in those event times."""

    def __init__(self, rule: WatchRule, names: tuple[str, ...], window: tuple[int, int] | None = None) -> None:
        self.rule, self.names, self._window = rule, names, window
        self.watch = begin(self._wide, names) if window else begin(rule, names)

    @property
    def _wide(self) -> WatchRule:
        return msgspec.structs.replace(self.rule, reference_size=_LARGEST_SAMPLE)

    def arm(self, columns: Mapping[str, Any]) -> None:
        """Begin with a reference that is known: a version's training sample."""
        self.watch = begin(self.rule, self.names, reference_panel(self.rule, columns, {}))

    def take(
        self, epoch: int, epoch_ms: int, rows: Sequence[SampledRow]
    ) -> tuple[tuple[Signal, ...], tuple[SampledRow, ...]]:
        """The rows of an epoch, all partitions together: what is to be said, and which of them go into the sample."""
        ordered = sorted(rows, key=lambda row: (row.time, row.hash))
        if self.watch.phase == "armed" and self.watch.panel is not None and self.watch.wealth is not None:
            if not ordered:
                return (), ()
            columns = {name: [row.values[place] for row in ordered] for place, name in enumerate(self.names)}
            evidence = self.watch.panel.evidence(columns, self.watch.wealth.seen)
            self.watch, signals = step(self.rule, self.watch, epoch, self.elapsed_ms(epoch, epoch_ms), evidence, None)
            return signals, ()
        rule, in_window = self.rule, self._window is not None and self.watch.generation == 0
        if in_window and self._window is not None:
            low, high = self._window
            ordered = [row for row in ordered if low <= row.time < high]
            known = 0 if self.watch.sample is None else self.watch.sample.seen
            is_complete = epoch * epoch_ms >= high and known + len(ordered) >= LEAST_WINDOW
            rule = (
                msgspec.structs.replace(self._wide, reference_size=known + len(ordered)) if is_complete else self._wide
            )
        self.watch, signals = step(rule, self.watch, epoch, epoch_ms, None, _sample(rule, self.names, ordered))
        return signals, tuple(ordered)

    def elapsed_ms(self, epoch: int, epoch_ms: int) -> int:
        """Event time since the last look: epochs without rows are time in which a false alarm was allowed, too."""
        last = self.watch.epoch
        return epoch_ms if last is None else min((epoch - last) * epoch_ms, max(epoch_ms, _LONGEST_GAP_MS))

    @property
    def score(self) -> float:
        """The part of the budget of false alarms that the evidence has used up; 1 while drifted, 0 while learning."""
        if self.watch.phase != "armed" or self.watch.panel is None or self.watch.wealth is None:
            return float(self.watch.phase == "drifted")
        return min(1.0, self.watch.panel.verdict(self.watch.wealth, 1).statistic) if self.watch.wealth.seen else 0.0

    def state(self) -> LineState:
        """What is kept beside the sample."""
        watch = self.watch
        every = {} if watch.panel is None else {name: one.every for name, one in watch.panel.features.items()}
        return LineState(
            phase=watch.phase, generation=watch.generation, epoch=watch.epoch, wealth=watch.wealth, every=every
        )

    def restore(
        self, state: LineState, reference: Mapping[str, Any] | Sequence[SampledRow] | None, fresh: Sequence[SampledRow]
    ) -> None:
        """The line as it was: with the reference of its generation, and the rows of the sample that grows."""
        panel: Panel | None = None
        if state.phase != "learning" and reference is not None:
            columns = reference
            if not isinstance(columns, Mapping):
                size = _LARGEST_SAMPLE if self._window and state.generation == 1 else self.rule.reference_size
                whole = Sample(size=size, features=self.names)
                columns = whole.merge(_sample(self.rule, self.names, columns)).columns()
            made = reference_panel(self.rule, columns, {})
            features = {
                name: Feature(reference=one.reference, every=state.every[name], is_loss=one.is_loss)
                for name, one in made.features.items()
            }
            panel = msgspec.structs.replace(made, features=features)
        sample = None
        if state.phase != "armed":
            size = _LARGEST_SAMPLE if self._window and state.generation == 0 else self.rule.reference_size
            sample = Sample(size=size, features=self.names).merge(_sample(self.rule, self.names, fresh))
        self.watch = Watch(
            phase=state.phase, generation=state.generation, panel=panel, wealth=state.wealth, sample=sample,
            epoch=state.epoch,
        )  # fmt: skip


def _sample(rule: WatchRule, names: tuple[str, ...], rows: Sequence[SampledRow]) -> Sample:
    return Sample(
        size=max(rule.reference_size, 1), features=names, seen=len(rows),
        rows=tuple(Row(row.hash, row.time, row.values[: len(names)]) for row in sorted(rows)),
    )  # fmt: skip
