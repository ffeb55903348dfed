"""Alert rules by their document's names, each as config/alerts.yaml has it; PerformanceMonitor judges by them."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Literal

import msgspec

from evenhand.alerts.desk import Desk, judge
from evenhand.alerts.policy import AlertPolicy, Notice
from evenhand.alerts.rule import AlertRule as Rule
from evenhand.errors import InvalidConfiguration
from evenhand.events import Alert, AlertRouted, ServiceLevelReported

__all__ = ["AlertManager", "AlertRule", "AlertSeverity", "MonitoringMetric"]


class AlertSeverity(StrEnum):
    """How grave."""

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"


class MonitoringMetric(StrEnum):
    """What is measured. Fractions are of 1, times are in milliseconds."""

    ACCURACY = "accuracy"
    RMSE = "rmse"
    ERROR_RATE = "error_fraction"
    MODEL_LATENCY = "response_time_p95_ms"
    RESPONSE_TIME = "response_time_p95_ms"
    THROUGHPUT = "throughput_per_s"
    DATA_DRIFT = "drift_score"
    CPU_USAGE = "cpu_percent"
    MEMORY_USAGE = "memory_percent"


_UNITS = {"rmse": "target", "response_time_p95_ms": "ms", "throughput_per_s": "1/s", "cpu_percent": "%",
          "memory_percent": "%"}  # fmt: skip


@dataclass(frozen=True)
class AlertRule:
    """Fires while the metric, over `window_minutes`, compares so with the threshold."""

    name: str
    metric: MonitoringMetric
    threshold: float
    comparison: Literal["<", "<=", ">", ">="] = ">"
    severity: AlertSeverity = AlertSeverity.WARNING
    window_minutes: float = 5
    notification_channels: Sequence[str] = ("console",)
    cooldown_minutes: float = 0

    def rule(self) -> Rule:
        """As config/alerts.yaml has it."""
        return msgspec.convert(
            {
                "name": self.name, "metric": str(self.metric), "comparison": self.comparison,
                "threshold": float(self.threshold), "unit": _UNITS.get(self.metric, "fraction"),
                "severity": str(self.severity), "window_s": max(1, round(self.window_minutes * 60)),
                "channels": [str(each) for each in self.notification_channels],
                "cooldown_s": round(self.cooldown_minutes * 60),
            },
            Rule,
        )  # fmt: skip

    def plain(self) -> Any:
        """The same, as plain values."""
        return msgspec.to_builtins(self.rule())


class AlertManager:
    """The rules of a monitor, and what fires."""

    def __init__(self) -> None:
        self._rules: dict[str, AlertRule] = {}
        self._desks: dict[str, Desk] = {}
        self.history: list[Alert] = []

    def add_alert_rule(self, rule: AlertRule) -> None:
        """Judge by this rule, too, from the next interval on; one of the same name is replaced."""
        rule.rule()  # refuses what cannot be
        self._rules[rule.name] = rule

    def remove_alert_rule(self, name: str) -> None:
        """Judge by a rule no more; what it has raised is resolved."""
        if self._rules.pop(name, None) is None:
            raise InvalidConfiguration(f"there is no rule {name!r}: there are {', '.join(self._rules) or 'none'}")

    @property
    def alert_rules(self) -> list[AlertRule]:
        """All rules."""
        return list(self._rules.values())

    def get_active_alerts(self) -> list[Alert]:
        """What fires now, over all models."""
        return [one.alert for desk in self._desks.values() for one in desk.paging.firing.values()]

    def policy(self) -> AlertPolicy:
        """The rules as the loop has them."""
        quiet = Notice(channels=())
        return AlertPolicy(rules=tuple(one.rule() for one in self._rules.values()), no_data=quiet, group_wait_s=0)

    def judge(self, event: ServiceLevelReported) -> tuple[AlertRouted, ...]:
        """Take the values of an interval; who is to be told of what."""
        desk, alerts, told = judge(self._desks.get(event.model, Desk(model=event.model)), self.policy(), event)
        self._desks[event.model] = desk
        self.history += [one for one in alerts if one.labels.get("source") != "no_data"]
        return told
