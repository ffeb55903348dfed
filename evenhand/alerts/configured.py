"""What `config/alerts.yaml` says: rules and how causes are told, channels, and the short form of the same.

The short form is a monitoring configuration of interval, cooldown and thresholds, in the units that people write.
"""

from collections.abc import Mapping
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from evenhand.alerts.policy import CRITICAL, WARNING, AlertPolicy, Inhibition, Notice
from evenhand.alerts.rule import AlertRule, Seconds
from evenhand.config import load_yaml_strict
from evenhand.errors import InvalidConfiguration
from evenhand.slo.configured import check_metric
from evenhand.slo.objective import Comparison

EnvironmentName = Annotated[str, Meta(pattern=r"^[A-Z][A-Z0-9_]*$", description="of a variable that holds the secret")]
Positive = Annotated[float, Meta(gt=0)]
Percent = Annotated[float, Meta(gt=0, le=100)]


class Channel(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A channel of its own name. Its address and its secret stand in the environment, never in a file.

    `allow_private` lets a webhook go to an address that is not of the internet, and to any port.
    """

    kind: Literal["slack", "email", "webhook", "apprise"]
    url: EnvironmentName | None = None
    secret: EnvironmentName | None = None
    recipients: EnvironmentName | None = None
    allow_private: bool = False


class Thresholds(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Milliseconds, percent, percent, and a fraction."""

    max_response_time: Positive | None = None
    max_error_rate: Percent | None = None
    min_accuracy: Percent | None = None
    max_drift_score: Positive | None = None

    def rules(self, cooldown_s: int) -> tuple[AlertRule, ...]:
        """As rules."""
        of: tuple[tuple[str, str, Comparison, float | None, float, str], ...] = (
            ("High response time", "response_time_p95_ms", ">", self.max_response_time, 1.0, "ms"),
            ("High error rate", "error_fraction", ">", self.max_error_rate, 100.0, "fraction"),
            ("Low accuracy", "accuracy", "<", self.min_accuracy, 100.0, "fraction"),
            ("Drift", "drift_score", ">", self.max_drift_score, 1.0, "fraction"),
        )
        return tuple(
            AlertRule(
                name=name, metric=metric, comparison=comparison, threshold=value / per, unit=unit,
                cooldown_s=cooldown_s,
            )
            for name, metric, comparison, value, per, unit in of if value is not None
        )  # fmt: skip


class Alerts(msgspec.Struct, frozen=True, kw_only=True):
    """The whole file. See AlertPolicy for what is of every model."""

    rules: tuple[AlertRule, ...] = ()
    models: dict[str, tuple[AlertRule, ...]] = {}
    page: Notice = CRITICAL
    ticket: Notice = WARNING
    drift: Notice = WARNING
    harm: Notice = CRITICAL
    no_data: Notice = WARNING
    no_data_after_s: Annotated[int, Meta(ge=1)] = 3600
    harm_lasts_s: Annotated[int, Meta(ge=1)] = 3600
    drift_lasts_s: Annotated[int, Meta(ge=1)] | None = None
    group_wait_s: Seconds = 30
    group_s: Seconds = 3600
    inhibitions: tuple[Inhibition, ...] = ()
    channels: dict[str, Channel] = {}
    dead_mans_switch_s: Annotated[int, Meta(ge=10)] | None = 300
    monitoring_interval: Annotated[int, Meta(ge=1, le=604_800)] | None = None
    retention_days: Annotated[int, Meta(ge=1, le=3650)] | None = None
    alert_cooldown: Annotated[float, Meta(ge=0)] = 0.0
    thresholds: Thresholds = Thresholds()

    def policy(self, model: str) -> AlertPolicy:
        """What holds for a served model; its rules in `models` stand beside those of all."""
        cooldown_s = round(self.alert_cooldown * 60)
        own = (*self.rules, *self.models.get(model, ()))
        rules = tuple(
            msgspec.structs.replace(rule, cooldown_s=cooldown_s) if cooldown_s and not rule.cooldown_s else rule
            for rule in own
        )
        return AlertPolicy(
            rules=(*rules, *self.thresholds.rules(cooldown_s)), page=self.page, ticket=self.ticket, drift=self.drift,
            harm=self.harm, no_data=self.no_data, no_data_after_s=self.no_data_after_s,
            harm_lasts_s=self.harm_lasts_s, drift_lasts_s=self.drift_lasts_s, group_s=self.group_s,
            group_wait_s=self.group_wait_s, inhibitions=self.inhibitions, cooldown_s=cooldown_s,
        )  # fmt: skip

    def channel_names(self) -> set[str]:
        """The channels that anything is told by."""
        notices = (self.page, self.ticket, self.drift, self.harm, self.no_data)
        rules = [*self.rules, *(rule for each in self.models.values() for rule in each)]
        told = [one.channels for one in notices] + [one.channels for one in rules]
        return {name for channels in told for name in channels}


KNOWN_CHANNELS = ("console", "slack", "email", "webhook")


def read_alerts(text: str, where: str = "alerts.yaml") -> Alerts:
    """Alerts from the text of the file; InvalidConfiguration names what to change.

    >>> alerts = read_alerts("{monitoring_interval: 60, alert_cooldown: 15, thresholds: {max_error_rate: 1.0}}")
    >>> [(rule.name, rule.threshold, rule.cooldown_s) for rule in alerts.policy("m").rules]
    [('High error rate', 0.01, 900)]
    """
    found = load_yaml_strict(text, Alerts, where)
    for model in ("", *found.models):
        names = [rule.name for rule in found.policy(model).rules]
        if doubled := sorted({name for name in names if names.count(name) > 1}):
            raise InvalidConfiguration(f"{where}: two rules are named {doubled[0]!r}: rename one")
        for rule in found.policy(model).rules:
            check_metric(rule.metric, rule.unit, f"{where}: {rule.name}")
            if rule.window_s > 86_400:
                raise InvalidConfiguration(f"{where}: {rule.name}: window_s is {rule.window_s}, at most a day is kept")
    _check_channels(found, where)
    return found


def _check_channels(found: Alerts, where: str) -> None:
    known = {*KNOWN_CHANNELS, *found.channels}
    if unknown := sorted(found.channel_names() - known):
        raise InvalidConfiguration(
            f"{where}: no channel is named {unknown[0]!r}, declare it in `channels`; known: {', '.join(sorted(known))}"
        )
    needed: Mapping[str, tuple[str, ...]] = {
        "slack": ("url",), "webhook": ("url",), "apprise": ("url",), "email": ("recipients",),
    }  # fmt: skip
    for name, channel in found.channels.items():
        for field in needed[channel.kind]:
            if getattr(channel, field) is None:
                raise InvalidConfiguration(
                    f"{where}: channels.{name} needs {field}: the name of the environment variable that holds it"
                )
