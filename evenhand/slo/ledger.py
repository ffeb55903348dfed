"""Good and bad, slice by slice of event time: what budgets, burn rates and compliance reports are reckoned from."""

from bisect import bisect_left
from collections.abc import Iterable
from datetime import UTC, datetime

import msgspec

from evenhand.slo.objective import Objective

SLICE_MS = 300_000  # the shortest window of a burn rate
DAY_MS = 86_400_000
FINE_DAYS = 4  # the longest window of a burn rate, and a day
KEPT_DAYS = 32  # a month's report needs the month


class Slice(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Five minutes from `start_ms`, or a day that is long over: how many were good, and how many bad."""

    start_ms: int
    good: int
    bad: int


class Ledger(msgspec.Struct, frozen=True, kw_only=True):
    """Slices in order of time, those without data left out. Old days are one slice each, and forgotten in the end."""

    slices: tuple[Slice, ...] = ()

    def add(self, objective: Objective, time_ms: int, good: int, bad: int) -> "Ledger":
        """With more events; a late one goes where it belongs."""
        start, slices = time_ms - time_ms % SLICE_MS, self.slices
        if slices and start < slices[-1].start_ms // DAY_MS * DAY_MS - FINE_DAYS * DAY_MS:
            start -= start % DAY_MS
        place = bisect_left(slices, start, key=_start)
        if place < len(slices) and slices[place].start_ms == start:
            before = slices[place]
            slices = (*slices[:place], Slice(start, before.good + good, before.bad + bad), *slices[place + 1 :])
        else:
            slices = (*slices[:place], Slice(start, good, bad), *slices[place:])
        return Ledger(slices=_thinned(slices, max(objective.window_days, KEPT_DAYS)))

    def between(self, from_ms: int, until_ms: int) -> tuple[int, int]:
        """Good and bad of the slices that begin in [from_ms, until_ms)."""
        first, end = bisect_left(self.slices, from_ms, key=_start), bisect_left(self.slices, until_ms, key=_start)
        inside = self.slices[first:end]
        return sum(one.good for one in inside), sum(one.bad for one in inside)


def _start(one: Slice) -> int:
    return one.start_ms


def _thinned(slices: tuple[Slice, ...], kept_days: int) -> tuple[Slice, ...]:
    last_day = slices[-1].start_ms // DAY_MS
    fine = bisect_left(slices, (last_day - FINE_DAYS) * DAY_MS, key=_start)
    old = slices[:fine]
    if not old:
        return slices
    if any(one.start_ms % DAY_MS for one in old):
        old = tuple(_days(old))
    first = bisect_left(old, (last_day - kept_days + 1) * DAY_MS, key=_start)
    return (*old[first:], *slices[fine:])


def _days(slices: Iterable[Slice]) -> Iterable[Slice]:
    sums: dict[int, list[int]] = {}
    for one in slices:
        into = sums.setdefault(one.start_ms // DAY_MS, [0, 0])
        into[0] += one.good
        into[1] += one.bad
    return (Slice(day * DAY_MS, good, bad) for day, (good, bad) in sorted(sums.items()))


class Budget(msgspec.Struct, frozen=True, kw_only=True):
    """`spent`: the share of the error budget that is used up; beyond 1 the objective is missed. None without data."""

    good: int
    bad: int
    spent: float | None


def budget(objective: Objective, ledger: Ledger, now_ms: int) -> Budget:
    """Over the objective's own window: bad / (all * (1 - target))."""
    good, bad = ledger.between(now_ms - objective.window_days * DAY_MS, now_ms)
    total = good + bad
    return Budget(good=good, bad=bad, spent=bad / (total * objective.budget) if total else None)


def compliance(ledger: Ledger, per: str) -> dict[str, float]:
    """The share of good by `day` or `month` (UTC); a day without data has no entry.

    >>> compliance(Ledger(slices=(Slice(0, 3, 1),)), "day")
    {'1970-01-01': 0.75}
    """
    return {name: good / (good + bad) for name, (good, bad) in counts(ledger, per).items() if good + bad}


def counts(ledger: Ledger, per: str) -> dict[str, tuple[int, int]]:
    """Good and bad by day or month."""
    sums: dict[str, tuple[int, int]] = {}
    for one in ledger.slices:
        name = period(one.start_ms, per)
        good, bad = sums.get(name, (0, 0))
        sums[name] = good + one.good, bad + one.bad
    return sums


def period(time_ms: int, per: str) -> str:
    """The day or month of a time, in UTC.

    >>> period(1542153600000, "day"), period(1542153600000, "month")
    ('2018-11-14', '2018-11')
    """
    forms = {"day": "%Y-%m-%d", "month": "%Y-%m"}
    if per not in forms:
        raise ValueError(f"a report is per day or per month, not per {per!r}")
    return datetime.fromtimestamp(time_ms / 1000, UTC).strftime(forms[per])
