"""Good and bad, slice by slice of event time: what budgets, burn rates and compliance reports are reckoned from."""

from datetime import UTC, datetime

import msgspec

from evenhand.slo.objective import Objective

SLICE_MS = 300_000  # the shortest window of a burn rate


class Slice(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Five minutes from `start_ms`: how many events (or epochs) were good, and how many bad."""

    start_ms: int
    good: int
    bad: int


class Ledger(msgspec.Struct, frozen=True, kw_only=True):
    """Slices in order of time, those without data left out; what is older than the objective's window is forgotten."""

    slices: tuple[Slice, ...] = ()

    def add(self, objective: Objective, time_ms: int, good: int, bad: int) -> "Ledger":
        """With more events; a late one goes where it belongs."""
        start = time_ms - time_ms % SLICE_MS
        by_start = {one.start_ms: one for one in self.slices}
        before = by_start.get(start, Slice(start, 0, 0))
        by_start[start] = Slice(start, before.good + good, before.bad + bad)
        oldest = max(by_start) - objective.window_days * 86_400_000
        return Ledger(slices=tuple(by_start[key] for key in sorted(by_start) if key > oldest))

    def between(self, from_ms: int, until_ms: int) -> tuple[int, int]:
        """Good and bad of the slices that begin in [from_ms, until_ms)."""
        inside = [one for one in self.slices if from_ms <= one.start_ms < until_ms]
        return sum(one.good for one in inside), sum(one.bad for one in inside)


class Budget(msgspec.Struct, frozen=True, kw_only=True):
    """`spent`: the share of the error budget that is used up; beyond 1 the objective is missed. None without data."""

    good: int
    bad: int
    spent: float | None


def budget(objective: Objective, ledger: Ledger, now_ms: int) -> Budget:
    """Over the objective's own window: bad / (all * (1 - target))."""
    good, bad = ledger.between(now_ms - objective.window_days * 86_400_000, now_ms)
    total = good + bad
    return Budget(good=good, bad=bad, spent=bad / (total * objective.budget) if total else None)


def compliance(ledger: Ledger, per: str) -> dict[str, float]:
    """The share of good by `day` or `month` (UTC); a day without data has no entry.

    >>> compliance(Ledger(slices=(Slice(0, 3, 1),)), "day")
    {'1970-01-01': 0.75}
    """
    forms = {"day": "%Y-%m-%d", "month": "%Y-%m"}
    if per not in forms:
        raise ValueError(f"a report is per day or per month, not per {per!r}")
    sums: dict[str, list[int]] = {}
    for one in ledger.slices:
        into = sums.setdefault(datetime.fromtimestamp(one.start_ms / 1000, UTC).strftime(forms[per]), [0, 0])
        into[0] += one.good
        into[1] += one.bad
    return {name: good / (good + bad) for name, (good, bad) in sums.items() if good + bad}
