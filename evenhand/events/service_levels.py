"""Objectives that are met or missed."""

from typing import Literal

import msgspec

from evenhand.alerts.policy import AlertPolicy
from evenhand.events.event import Event, Model, Text


class Level(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """One objective after an epoch: what the epoch counted, and how fast its error budget is spent.

    `state` is of the epoch, `burn` of the windows: no data is a state of both. `spent` is the share of the budget of
    `window_days` that is used up, `rate` how many times too fast, `probability` of that where few events say so.
    """

    state: Literal["met", "violated", "no_data"]
    burn: Literal["ok", "burning", "no_data"]
    good: int = 0
    bad: int = 0
    severity: Literal["page", "ticket"] | None = None
    rate: float | None = None
    factor: float | None = None
    probability: float | None = None
    spent: float | None = None


class ServiceLevelReported(Event, frozen=True, kw_only=True, omit_defaults=True):
    """A model's service levels after an epoch, over all its partitions and versions that served.

    `values` are of the epoch, none where nothing was measured; `windows` of longer ones that rules ask for, by their
    seconds. `alerts` is what holds from here on; it comes with the first report under it. With `judged`, it is of what
    another judge reported of the epoch, such as a drift score, and of nothing else.
    """

    model: Model
    subject: Text
    epoch: int
    epoch_s: int
    values: dict[str, float] = {}
    counts: dict[str, int] = {}
    windows: dict[str, dict[str, float]] = {}
    levels: dict[str, Level] = {}
    alerts: AlertPolicy | None = None
    evidence_digest: str = ""
    judged: bool = False


class ComplianceReported(Event, frozen=True, kw_only=True, omit_defaults=True):
    """Whether an objective was met in a day or month (UTC) that is over: `fraction` of good against `target`."""

    model: Model
    objective: Text
    per: Literal["day", "month"]
    period: Text
    good: int
    bad: int
    fraction: float
    target: float
    met: bool
