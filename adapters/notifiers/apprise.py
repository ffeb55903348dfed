"""Whatever Apprise knows (PagerDuty, Teams, Telegram and some hundred more), by one of its URLs."""

import asyncio

import msgspec
from pydantic import SecretStr

from adapters.errors import InvalidSetting
from adapters.notifiers.base import Alert, DeliveryFailed

GENERIC = frozenset({
    "json", "jsons", "xml", "xmls", "form", "forms", "apprise", "apprises", "syslog", "rsyslog", "dbus", "windows",
    "gnome", "macosx", "smtp", "mailto", "mailtos",
})  # fmt: skip
"""Schemas that would go to any host, or to this machine: Webhook and Email do that under our rules."""


class Apprise(msgspec.Struct, frozen=True, kw_only=True):
    """The URL is a secret. Apprise says only whether it went out, so every failure is tried again."""

    url: SecretStr
    name: str = "apprise"
    deadline_s: float = 20.0

    async def send(self, alert: Alert) -> None:
        try:
            import apprise  # noqa: PLC0415 - an extra, and slow to load
        except ImportError:
            raise InvalidSetting(f"channel {self.name} needs Apprise: install evenhand[apprise]") from None
        if self.url.get_secret_value().partition("://")[0].lower() in GENERIC:
            raise DeliveryFailed(
                f"{self.name}: this kind of URL goes to any host: use a webhook or e-mail channel", again=False
            )
        sender = apprise.Apprise()
        if not sender.add(self.url.get_secret_value()):
            raise DeliveryFailed(f"{self.name}: Apprise does not know this kind of URL", again=False)
        kind = {"resolved": "success"}.get(alert.status) or {"critical": "failure", "info": "info"}.get(
            alert.labels.get("severity", ""), "warning"
        )
        title = f"{alert.labels.get('alertname', 'alert')} {alert.status}"
        body = f"{alert.annotations.get('summary', title)}\nsince {alert.startsAt}, id {alert.id}"
        try:
            async with asyncio.timeout(self.deadline_s):
                sent = await sender.async_notify(body=body, title=title, notify_type=kind)
        except TimeoutError:
            raise DeliveryFailed(f"{self.name}: no answer within {self.deadline_s:g} s") from None
        if not sent:
            raise DeliveryFailed(f"{self.name}: not delivered")
