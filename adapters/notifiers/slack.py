"""Slack, by an incoming webhook, with Block Kit."""

from typing import Any

import msgspec
from pydantic import SecretStr

from adapters.notifiers.base import Alert
from adapters.notifiers.http import post

_SIGNS = {"critical": ":red_circle:", "warning": ":large_orange_circle:", "info": ":large_blue_circle:"}


class Slack(msgspec.Struct, frozen=True, kw_only=True):
    """`SLACK_WEBHOOK_URL`. Slack knows no idempotency key, so each message shows the alert's id."""

    url: SecretStr
    name: str = "slack"
    allow_private: bool = False
    deadline_s: float = 5.0

    async def send(self, alert: Alert) -> None:
        await post(
            self.url.get_secret_value(), msgspec.json.encode(message(alert)),
            {"Content-Type": "application/json", "Idempotency-Key": alert.id},
            channel=self.name, allow_private=self.allow_private, deadline_s=self.deadline_s,
        )  # fmt: skip


def message(alert: Alert) -> dict[str, Any]:
    """Header, what happened, labels, and the runbook where there is one; user text is escaped as Slack asks."""
    sign = (
        ":white_check_mark:" if alert.status == "resolved" else _SIGNS.get(alert.labels.get("severity", ""), ":bell:")
    )
    title = f"{alert.labels.get('alertname', 'alert')} {alert.status}"[:150]
    labels = " ".join(f"`{key}={value}`" for key, value in sorted(alert.labels.items()))
    runbook = alert.annotations.get("runbook_url", "")
    summary = _escaped(alert.annotations.get("summary", title))
    texts = [f"{sign} {summary}", _escaped(labels), *([f"<{_escaped(runbook)}|Runbook>"] if runbook else [])]
    blocks: list[dict[str, Any]] = [{"type": "header", "text": {"type": "plain_text", "text": title}}]
    blocks += [{"type": "section", "text": {"type": "mrkdwn", "text": text[:3000]}} for text in texts]
    blocks.append(
        {"type": "context", "elements": [{"type": "mrkdwn", "text": f"since {alert.startsAt}, id {alert.id}"}]}
    )
    return {"text": f"{title}: {summary}"[:3000], "blocks": blocks}


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
