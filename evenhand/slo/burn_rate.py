"""Burn rates over two windows each: how fast an error budget is spent (The Site Reliability Workbook, chapter 5)."""

from typing import Literal

import msgspec

from evenhand.slo.ledger import Ledger
from evenhand.slo.low_traffic import LEAST_EVENTS, probability_burning
from evenhand.slo.objective import Objective

Severity = Literal["page", "ticket"]
HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS


class Window(msgspec.Struct, frozen=True):
    """A long window, and a short one that ends the alert soon after the trouble ends."""

    factor: float
    long_ms: int
    short_ms: int
    severity: Severity


WINDOWS = (
    Window(14.4, HOUR_MS, HOUR_MS // 12, "page"),  # 2 % of 30 days' budget in an hour
    Window(6.0, 6 * HOUR_MS, HOUR_MS // 2, "page"),  # 5 % in six hours
    Window(1.0, 3 * DAY_MS, 6 * HOUR_MS, "ticket"),  # 10 % in three days
)


class Burn(msgspec.Struct, frozen=True, kw_only=True):
    """What burns: the state, the window that says so, and how fast. `probability` where traffic is low."""

    state: Literal["ok", "burning", "no_data"]
    severity: Severity | None = None
    rate: float | None = None
    factor: float | None = None
    probability: float | None = None


def burn_rate(objective: Objective, ledger: Ledger, now_ms: int, window_ms: int) -> tuple[float | None, int, int]:
    """Bad share over the window / budget, with the counts; None where nothing happened. 1 spends it all in time."""
    good, bad = ledger.between(now_ms - window_ms, now_ms)
    return (bad / (good + bad) / objective.budget if good + bad else None), good, bad


def judge(objective: Objective, ledger: Ledger, now_ms: int) -> Burn:
    """The gravest window in which both spans burn at its factor or faster.

    Where the long window has fewer than 1000 events, one bad event can be a rate of 14: there, the posterior must say
    with 95 % that the true rate is so high (low_traffic.py), in place of the short window.
    """
    seen = False
    for window in WINDOWS:
        factor = min(window.factor, 0.99 / objective.budget)  # a bad share above 1 does not exist
        rate, good, bad = burn_rate(objective, ledger, now_ms, window.long_ms)
        if rate is None:
            continue
        seen = True
        short, _, _ = burn_rate(objective, ledger, now_ms, window.short_ms)
        if rate < factor or short is None or short < factor:
            continue
        probability = None
        if good + bad < LEAST_EVENTS:
            probability = probability_burning(objective, good, bad, factor)
            if probability < 0.95:
                continue
        return Burn(state="burning", severity=window.severity, rate=rate, factor=factor, probability=probability)
    return Burn(state="ok" if seen else "no_data")
