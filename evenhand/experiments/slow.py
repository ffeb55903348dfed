"""How many responses are slower than a quantile of the champion's that was frozen at the start, by phase."""

from collections.abc import Mapping

import msgspec

from evenhand.events import Phase
from evenhand.metrics.slow_responses import beyond, threshold

Counted = dict[str, tuple[int, int]]  # by variant: slow, of all


class Slow(msgspec.Struct, frozen=True, array_like=True):
    """The champion's times until the quantile is frozen, its bucket, and what was counted since, by control."""

    reference: dict[int, int] = {}
    limit: int | None = None
    counts: dict[str, Counted] = {}

    def take(self, champion: str, phases: Mapping[str, Phase]) -> "Slow":
        """With an epoch. That in which the quantile freezes is its last to learn from, and none to count."""
        if not any(phase.times for phase in phases.values()):
            return self
        if self.limit is None:
            reference = dict(self.reference)
            for phase in phases.values():
                for bucket, n in phase.times.get(champion, {}).items():
                    reference[bucket] = reference.get(bucket, 0) + n
            limit = threshold(reference)
            return Slow({} if limit is not None else dict(sorted(reference.items())), limit)
        counts = {control: dict(held) for control, held in self.counts.items()}
        for control, phase in phases.items():
            held = counts.setdefault(control, {})
            for variant, times in phase.times.items():
                (k, n), (more_k, more_n) = held.get(variant, (0, 0)), beyond(times, self.limit)
                held[variant] = k + more_k, n + more_n
        return Slow(self.reference, self.limit, counts)
