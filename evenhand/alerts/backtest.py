"""What other rules and objectives would have said of recorded measurements, by the processors that run live."""

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import msgspec
import numpy as np

from evenhand.alerts.rule import AlertRule
from evenhand.codec import decoder, encode
from evenhand.events import AlertFired, AlertResolved, AlertRouted, EpochMeasured, ServiceLevelReported
from evenhand.monitoring import Monitoring
from evenhand.offline import Log, Runner
from evenhand.processors.alerting import Alerting
from evenhand.processors.base import Record, Row
from evenhand.processors.slo import Slo
from evenhand.slo.objective import COMPARE, Objective
from evenhand.topics import (
    ALERTS,
    COMMANDS,
    DECISIONS,
    DRIFT_SIGNALS,
    MEASUREMENTS,
    NOTIFICATIONS,
    REPORTS,
    SERVICE_LEVELS,
)

READS = (MEASUREMENTS, REPORTS, DRIFT_SIGNALS, DECISIONS, COMMANDS)
Change = Callable[[str, Monitoring], Monitoring]
Alert = AlertFired | AlertResolved


class Backtest:
    """Recorded records go in by partition, in order; `run` then says what follows from them."""

    def __init__(self, partitions: int, change: Change = lambda _, monitoring: monitoring) -> None:
        self._log, self._change = Log(partitions), change
        self._measured = decoder(EpochMeasured)

    def take(self, topic: str, partition: int, record: Record) -> None:
        """A record of one of READS."""
        value = record.value
        if topic == MEASUREMENTS:
            event = self._measured.decode(value or b"")
            value = encode(
                msgspec.structs.replace(
                    event, monitoring=self._change(event.model, event.monitoring), inputs=(),
                    versions={name: each for name, each in event.versions.items() if not name},
                )
            )  # fmt: skip
        self._log.append(topic, partition, [Row(record.key, value, list(record.headers))], record.timestamp)

    def run(self) -> "Said":
        """Judge everything."""
        Runner(self._log, [Slo, Alerting]).run()
        alerts = book(self._log.values(ALERTS))
        routed = book(self._log.values(NOTIFICATIONS))
        levels = [decoder(ServiceLevelReported).decode(value) for value in self._log.values(SERVICE_LEVELS)
                  if b'"type":"ServiceLevelReported"' in value]  # fmt: skip
        return Said(alerts, [decoder(AlertRouted).decode(value) for value in routed], levels)


class Said(NamedTuple):
    """The book of alerts (bytes, as in `alerts.v1`), who would have been told, and the service levels."""

    alerts: list[bytes]
    routed: list[AlertRouted]
    levels: list[ServiceLevelReported]


class _Head(msgspec.Struct):
    id: str
    time: int


def book(values: Iterable[bytes]) -> list[bytes]:
    """Each event once, the first of its id, in order of time and id."""
    first: dict[str, tuple[int, bytes]] = {}
    for value in values:
        head = msgspec.json.decode(value, type=_Head)
        first.setdefault(head.id, (head.time, value))
    return [value for _, (_, value) in sorted(first.items(), key=lambda item: (item[1][0], item[0]))]


class Checked(msgspec.Struct, frozen=True, kw_only=True):
    """How a rule or objective fares on recorded epochs, and a threshold that it could keep."""

    model: str
    name: str
    kind: str
    metric: str
    comparison: str
    threshold: float
    unit: str
    epochs: int
    breached: float | None
    fired: int
    proposed: float | None


def check(model: str, monitoring: Monitoring, said: Said) -> list[Checked]:
    """Each rule and objective of a model. A rule is to breach in one epoch of a thousand, an objective as it allows."""
    levels = [each for each in said.levels if each.model == model]
    fired: dict[str, int] = {}
    for value in said.alerts:
        event = msgspec.json.decode(value, type=AlertFired | AlertResolved)
        if isinstance(event, AlertFired) and event.labels.get("model") == model:
            name = event.labels.get("objective", event.labels["alertname"])
            fired[name] = fired.get(name, 0) + 1
    rules = () if monitoring.alerts is None else monitoring.alerts.rules
    return [_objective(model, each, levels, fired) for each in monitoring.objectives] + [
        _rule(model, each, levels, fired) for each in rules
    ]


def _objective(model: str, of: Objective, levels: Sequence[ServiceLevelReported], fired: dict[str, int]) -> Checked:
    mine = [each.levels[of.name] for each in levels if of.name in each.levels]
    with_data = [each for each in mine if each.good + each.bad]
    bad, total = sum(each.bad for each in with_data), sum(each.good + each.bad for each in with_data)
    values = [each.values[of.metric] for each in levels if of.metric in each.values]
    share = bad / total if total else None
    allowed = of.budget if of.of == "epochs" else None
    return Checked(
        model=model, name=of.name, kind="objective", metric=of.metric, comparison=of.comparison,
        threshold=of.threshold, unit=of.unit, epochs=len(with_data), breached=share, fired=fired.get(of.name, 0),
        proposed=_kept(of.comparison, values, allowed) if total and (total - bad) / total < of.target else None,
    )  # fmt: skip


def _rule(model: str, rule: AlertRule, levels: Sequence[ServiceLevelReported], fired: dict[str, int]) -> Checked:
    found = [each.windows.get(str(rule.window_s), each.values).get(rule.metric) for each in levels]
    values = [value for value in found if value is not None]
    hits = sum(bool(COMPARE[rule.comparison](value, rule.threshold)) for value in values)
    share = hits / len(values) if values else None
    inverse = {"<": ">=", "<=": ">", ">": "<=", ">=": "<"}[rule.comparison]
    return Checked(
        model=model, name=rule.name, kind="rule", metric=rule.metric, comparison=rule.comparison,
        threshold=rule.threshold, unit=rule.unit, epochs=len(values), breached=share, fired=fired.get(rule.name, 0),
        proposed=_kept(inverse, values, 0.001) if share is not None and share > 0.001 else None,
    )  # fmt: skip


def _kept(comparison: str, values: Sequence[float], allowed: float | None) -> float | None:
    """A threshold, to three digits, that all but a share `allowed` of the values keep; None where none is known."""
    if allowed is None or not values:
        return None
    upper = comparison.startswith("<")
    bound = float(np.quantile(values, 1 - allowed if upper else allowed, method="higher" if upper else "lower"))
    if bound == 0:
        return 0.0
    unit = 10.0 ** (np.floor(np.log10(abs(bound))) - 2)
    rounded = (np.floor(bound / unit) + 1) if upper else (np.ceil(bound / unit) - 1)
    return float(f"{rounded * unit:.6g}")
