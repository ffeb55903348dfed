"""What a setting would have raised on a history: the same judge as in the loop, epoch by epoch."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from evenhand.drift.line import Line
from evenhand.drift.panel import MONTH_MS
from evenhand.drift.watch import DriftBegan, WatchRule
from evenhand.errors import InvalidConfiguration
from evenhand.events import SampledRow
from evenhand.monitoring import DriftRule

LEAST_ROWS = 200


class Alarm(msgspec.Struct, frozen=True, kw_only=True):
    """When an alarm would have come, what would have been named, and when there was a new reference, if there was."""

    time: int
    feature: str
    cause: str
    effect_size: float
    rows_ago: int
    over: int | None = None


class Raised(msgspec.Struct, frozen=True, kw_only=True):
    """What one setting would have raised. `expected` is how many false ones it allows over the time that was armed."""

    per_month: float | None
    per_100k: float | None
    alarms: tuple[Alarm, ...]
    armed_months: float
    rows: int
    expected: float
    every: dict[str, int]


def raised(
    rule: DriftRule,
    epochs: Iterable[tuple[int, Sequence[SampledRow]]],
    epoch_ms: int,
    reference: Mapping[str, Any] | None,
) -> Raised:
    """Play the history of the inputs: rows of each epoch that has any, in order. The budget is for them alone."""
    per_month = None if rule.false_alarms_per_100k is not None else rule.false_alarms_per_month or 1.0
    watch = WatchRule(
        per_100k=rule.false_alarms_per_100k, per_month=per_month, reference_size=rule.reference_size,
        max_thinning=rule.max_thinning,
    )  # fmt: skip
    line = Line(watch, rule.looked_at, rule.window if rule.reference == "window" else None)
    if reference is not None and rule.reference == "training":
        line.arm({name: reference[name] for name in rule.looked_at})
    alarms, armed_ms, rows, looked_at = list[Alarm](), 0, 0, 0
    every: dict[str, int] = {}
    for epoch, sample in epochs:
        rows += len(sample)
        if line.watch.phase == "armed":
            armed_ms, looked_at = armed_ms + line.elapsed_ms(epoch, epoch_ms), looked_at + len(sample)
        signals, _ = line.take(epoch, epoch_ms, sample)
        every = line.state().every or every
        for signal in signals:
            time = (signal.epoch + 1) * epoch_ms
            if isinstance(signal, DriftBegan):
                found = signal.verdict.findings[0]
                alarms.append(
                    Alarm(
                        time=time, feature=found.feature, cause=found.cause, effect_size=found.effect_size,
                        rows_ago=found.events_ago,
                    )
                )  # fmt: skip
            else:
                alarms[-1] = msgspec.structs.replace(alarms[-1], over=time)
    if rows < LEAST_ROWS:
        raise InvalidConfiguration(f"a history of {rows} rows shows nothing: give at least {LEAST_ROWS}")
    months = armed_ms / MONTH_MS
    allowed = months * per_month if per_month is not None else looked_at * (rule.false_alarms_per_100k or 0.0) / 1e5
    return Raised(
        per_month=per_month, per_100k=rule.false_alarms_per_100k, alarms=tuple(alarms), armed_months=months, rows=rows,
        expected=allowed, every=every,
    )  # fmt: skip


def by_epoch(rows: Iterable[SampledRow], epoch_ms: int) -> list[tuple[int, list[SampledRow]]]:
    """Rows of a file by the epoch of their time."""
    found: dict[int, list[SampledRow]] = {}
    for row in rows:
        found.setdefault(row.time // epoch_ms, []).append(row)
    return sorted(found.items())
