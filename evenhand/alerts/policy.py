"""What is worth an alert, and who hears of it: data, in `config/alerts.yaml`, in force from a control on."""

from typing import Annotated

import msgspec
from msgspec import Meta

from evenhand.alerts.rule import AlertRule, Seconds, Severity

Labels = dict[str, str]


class Inhibition(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """While an alert with the labels `source` fires, none with `target` and the same values of `equal` is told of."""

    source: Annotated[Labels, Meta(min_length=1)]
    target: Annotated[Labels, Meta(min_length=1)]
    equal: tuple[str, ...] = ("model",)


class Notice(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """How alerts of one kind are told. Without channels they stand in `alerts.v1` alone."""

    severity: Severity = "warning"
    channels: tuple[str, ...] = ("console",)
    repeat_s: Annotated[int, Meta(ge=60)] = 14_400
    annotations: Labels = {}


CRITICAL = Notice(severity="critical")
WARNING = Notice()


class AlertPolicy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Rules about metrics, and how the other causes are told.

    `page` and `ticket`: an error budget burns fast, or slowly. `drift`: inputs or predictions have drifted; `harm`: a
    version was stopped because it did harm, or its losses have drifted. `no_data`: nothing was asked or read for
    `no_data_after_s` of event time. A stop is told of as firing for `harm_lasts_s`. Drift fires until there is a new
    reference, or for `drift_lasts_s`: what is then still there is the new normal.

    After its end an error budget's alert is quiet for `cooldown_s`, as rules say each for itself.

    Causes that one model has at a time are one incident. An alert is told when it has fired for `group_wait_s`, so that
    causes which come together are one page. Within `group_s` of its last page, further causes that are no
    graver join it silently.
    """

    rules: tuple[AlertRule, ...] = ()
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
    cooldown_s: Seconds = 0
    inhibitions: tuple[Inhibition, ...] = ()
