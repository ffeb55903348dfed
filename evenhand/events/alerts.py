"""What somebody must know."""

from typing import Literal

from evenhand.events.event import Event, Text


class Alert(Event, frozen=True, kw_only=True, omit_defaults=True, tag=None):
    """Alertmanager's shape: anyone can subscribe."""

    status: Literal["firing", "resolved"]
    labels: dict[str, str]
    annotations: dict[str, str]
    startsAt: str  # noqa: N815 - Alertmanager's name
    endsAt: str = ""  # noqa: N815 - Alertmanager's name
    fingerprint: Text
    generatorURL: str = ""  # noqa: N815 - Alertmanager's name


class AlertFired(Alert, frozen=True, kw_only=True, omit_defaults=True, tag=True):
    """An alert began."""


class AlertResolved(Alert, frozen=True, kw_only=True, omit_defaults=True, tag=True):
    """An alert ended."""


class AlertRouted(Alert, frozen=True, kw_only=True, omit_defaults=True, tag=True):
    """An alert that channels are to be told of: why now, of which incident, and whom.

    Its `id` is the idempotency key of every delivery. `causes` are all alerts of the incident that fire.
    """

    channels: tuple[str, ...]
    why: Literal["told", "repeated", "resolved"]
    incident: Text
    causes: tuple[str, ...] = ()
