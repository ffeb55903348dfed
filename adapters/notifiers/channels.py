"""The channels that this environment has: those of the usual variables, and those that alerts.yaml declares."""

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import SecretStr

from adapters.errors import InvalidSetting
from adapters.notifiers.apprise import Apprise
from adapters.notifiers.base import Channel
from adapters.notifiers.console import Console
from adapters.notifiers.email import Email
from adapters.notifiers.slack import Slack
from adapters.notifiers.webhook import Webhook
from evenhand.alerts.configured import Alerts
from evenhand.alerts.configured import Channel as Declared

USUAL = {
    "slack": Declared(kind="slack", url="SLACK_WEBHOOK_URL"),
    "email": Declared(kind="email", recipients="ALERT_TO_EMAILS"),
    "webhook": Declared(kind="webhook", url="MONITORING_WEBHOOK_URL", secret="MONITORING_WEBHOOK_SECRET"),  # noqa: S106 - a name
}
Environment = Mapping[str, str]


def channels(alerts: Alerts, environment: Environment) -> tuple[dict[str, Channel], dict[str, str]]:
    """By name the channels that there are, and of those that are named and missing what is not set."""
    found: dict[str, Channel] = {"console": Console()}
    missing: dict[str, str] = {}
    for name, declared in {**USUAL, **alerts.channels}.items():
        needed = _needed(declared)
        lacking = [each for each in needed if not environment.get(each, "").strip()]
        if not lacking:
            found[name] = _made(name, declared, environment)
        elif name in alerts.channels or name in alerts.channel_names():
            missing[name] = ", ".join(lacking)
    return found, missing


def _needed(declared: Declared) -> list[str]:
    if declared.kind == "email":
        return ["SMTP_SERVER", "ALERT_FROM_EMAIL", declared.recipients or ""]
    return [declared.url or ""]


def _made(name: str, declared: Declared, environment: Environment) -> Channel:
    if declared.kind == "email":
        return _email(name, declared, environment)
    url = SecretStr(environment[declared.url or ""].strip())
    if declared.kind == "slack":
        return Slack(url=url, name=name, allow_private=declared.allow_private)
    if declared.kind == "apprise":
        return Apprise(url=url, name=name)
    secret = environment.get(declared.secret or "", "").strip()
    return Webhook(
        url=url, name=name, allow_private=declared.allow_private, secret=SecretStr(secret) if secret else None
    )


def _email(name: str, declared: Declared, environment: Environment) -> Email:
    port, security = environment.get("SMTP_PORT", "").strip() or "587", environment.get("SMTP_SECURITY", "").strip()
    if not port.isdecimal() or not 0 < int(port) < 65_536:
        raise InvalidSetting(f"SMTP_PORT={port} is no port: write 587 (STARTTLS) or 465 (TLS)")
    known: dict[str, Literal["starttls", "tls", "plain"]] = {"starttls": "starttls", "tls": "tls", "plain": "plain"}
    if security and security not in known:
        raise InvalidSetting(f"SMTP_SECURITY={security}: write starttls, tls or plain")
    chosen: Any = known.get(security) or ("tls" if int(port) == 465 else "starttls")
    recipients = environment[declared.recipients or ""].split(",")
    return Email(
        server=environment["SMTP_SERVER"].strip(), port=int(port), security=chosen, name=name,
        sender=environment["ALERT_FROM_EMAIL"].strip(),
        recipients=tuple(each.strip() for each in recipients if each.strip()),
        username=environment.get("SMTP_USERNAME", "").strip(),
        password=SecretStr(environment.get("SMTP_PASSWORD", "")),
        ca_file=environment.get("SMTP_CA_FILE", "").strip() or None,
    )  # fmt: skip
