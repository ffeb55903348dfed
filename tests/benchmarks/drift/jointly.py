"""Many features under one budget: a vector of 50, and a simulated month of 1,000."""

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from evenhand.drift.panel import MONTH_MS, Feature, Panel, panel_of
from evenhand.drift.reference import of_categories, of_numbers
from tests.benchmarks.drift.streams import Floats, autoregressive

Row = dict[str, Any]
FEATURES = 50


def correlated(rng: np.random.Generator, n: int, rho: float, phi: float) -> dict[str, Floats]:
    """Columns that share a factor, each autoregressive."""
    law = autoregressive(phi)
    common = law(rng, n)
    return {f"f{i}": np.sqrt(rho) * common + np.sqrt(1 - rho) * law(rng, n) for i in range(FEATURES)}


def vectors(size: float, say: Callable[[str], None]) -> list[Row]:
    """False alarms for the whole vector, the delay of a change in one feature, and the cost."""
    found: list[Row] = []
    for name, phi in (("50 features", 0.0), ("50 features AR .9", 0.9), ("50 features AR .98", 0.98)):
        rng, fired, total, best = np.random.default_rng(21), 0, 0, np.inf
        panel = panel_of(correlated(rng, 20_000, 0.5, phi), per_100k=1)
        for _ in range(max(1, round(4 * size))):
            rows, state, at = correlated(rng, 100_000, 0.5, phi), panel.start(), 0
            while at < 100_000:
                batch = {feature: column[at : at + 256] for feature, column in rows.items()}
                begun = time.perf_counter()
                state = panel.update(state, batch)
                best = min(best, (time.perf_counter() - begun) / 256 / FEATURES)
                at += 256
                if state.alarm_at is not None:
                    fired, state = fired + 1, panel.start()
            total += 100_000
        found.append({"detector": "panel", "stream": name, "false_alarms_per_100k": 1e5 * fired / total,
                      "median_delay": None, "missed": None, "us_per_event_feature": best * 1e6})  # fmt: skip
        say(f"{'panel':22} {name:18} {1e5 * fired / total:8.2f} /100k   {best * 1e6:7.2f} us (best batch of 256)")
    rng, delays, named = np.random.default_rng(22), [], 0
    for _ in range(max(4, round(40 * size))):
        panel = panel_of(correlated(rng, 20_000, 0.5, 0.0), per_100k=1, thin=False)
        state = panel.update(panel.start(), correlated(rng, 2000, 0.5, 0.0))
        rows = correlated(rng, 2000, 0.5, 0.0)
        rows["f7"] = rows["f7"] + 0.5
        state = panel.update(state, rows)
        delays.append(np.inf if state.alarm_at is None else state.alarm_at - 2000)
        named += panel.verdict(state).findings[0].feature == "f7"
    found.append({"detector": "panel", "stream": "50 features, +.5 sd in one", "false_alarms_per_100k": None,
                  "median_delay": float(np.median(delays)), "missed": float(np.mean(np.isinf(delays))),
                  "us_per_event_feature": None})  # fmt: skip
    say(f"{'panel':22} +.5 sd in one of 50: delay {np.median(delays)}, the right one named in {named} of {len(delays)}")
    return found


def month(say: Callable[[str], None], *, epochs: int = 730, per_epoch: int = 20, planted: bool) -> list[Row]:
    """1,000 features (one of them a category) in hourly epochs, one false alarm a month allowed.

    `planted` changes come one at a time, each after a quiet stretch; the panel is started again after each.
    """
    rng = np.random.default_rng(23)
    names = [f"f{i}" for i in range(999)]
    features = {name: Feature(reference=of_numbers(rng.normal(size=20_000))) for name in names}
    shares = [0.5, 0.3, 0.2]
    features["venue"] = Feature(reference=of_categories([str(v) for v in rng.choice(list("abc"), 20_000, p=shares)]))
    panel = Panel(features=features, per_month=1)
    plan = {200: "f17", 400: "f400", 600: "venue"} if planted else {}
    state, changed, since, fired, found = panel.start(), "", 0, 0, []
    for epoch in range(epochs):
        if epoch in plan:
            changed, since = plan[epoch], 0
        rows: dict[str, Any] = dict(zip(names, rng.normal(size=(999, per_epoch)), strict=True))
        weights = [0.2, 0.6, 0.2] if changed == "venue" else shares
        rows["venue"] = [str(v) for v in rng.choice(list("abc"), per_epoch, p=weights)]
        if changed == "f17":
            rows["f17"] = rows["f17"] + 1.0
        if changed == "f400":
            rows["f400"] = rows["f400"] * 2.0
        since += per_epoch
        state = panel.absorb(state, panel.evidence(rows, state.seen), MONTH_MS // epochs)
        if state.alarm_at is None:
            continue
        finding = panel.verdict(state).findings[0]
        if changed and finding.feature == changed:
            found.append({"detector": "panel per_month=1", "stream": f"month of 1,000 features: {finding.feature}",
                          "false_alarms_per_100k": None, "median_delay": since, "missed": 0.0,
                          "us_per_event_feature": None})  # fmt: skip
            say(f"{'panel per_month=1':22} planted {changed}: {finding.cause} named after {since} events")
        else:
            fired += 1
        changed, state = "", panel.start()
    name = "month of 1,000 features" + (", planted" if planted else "")
    say(f"{'panel per_month=1':22} 1,000 features, a month: {fired} false, {len(found)} of {len(plan)} planted found")
    found.append({"detector": "panel per_month=1", "stream": name,
                  "false_alarms_per_100k": 1e5 * fired / (epochs * per_epoch), "median_delay": None,
                  "missed": 1 - len(found) / len(plan) if plan else None, "us_per_event_feature": None})  # fmt: skip
    return found
