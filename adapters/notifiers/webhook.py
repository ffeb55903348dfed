"""A webhook: Alertmanager's body of version 4, signed."""

import hashlib
import hmac
from typing import Any

import msgspec
from pydantic import SecretStr

from adapters.notifiers.base import Alert
from adapters.notifiers.http import post


class Webhook(msgspec.Struct, frozen=True, kw_only=True):
    """`X-Evenhand-Signature: t=TIME,v1=HEX` is HMAC-SHA256 of "TIME.BODY" with the secret, TIME the alert's own.

    `Idempotency-Key` is the alert's id: whoever has seen it, may drop a repeat.
    """

    url: SecretStr
    secret: SecretStr | None = None
    name: str = "webhook"
    allow_private: bool = False
    deadline_s: float = 5.0

    async def send(self, alert: Alert) -> None:
        body = msgspec.json.encode(alertmanager_v4(alert, self.name))
        headers = {"Content-Type": "application/json", "Idempotency-Key": alert.id}
        if self.secret is not None:
            headers["X-Evenhand-Signature"] = signature(self.secret.get_secret_value(), alert.time, body)
        await post(
            self.url.get_secret_value(), body, headers, channel=self.name, allow_private=self.allow_private,
            deadline_s=self.deadline_s,
        )  # fmt: skip


def signature(secret: str, time_ms: int, body: bytes) -> str:
    """What the receiver reckons again to know that the body is ours.

    >>> signature("s", 1, b"{}")[:12]
    't=1,v1=b2536'
    """
    mac = hmac.new(secret.encode(), f"{time_ms}.".encode() + body, hashlib.sha256)
    return f"t={time_ms},v1={mac.hexdigest()}"


def alertmanager_v4(alert: Alert, receiver: str) -> dict[str, Any]:
    """The body that Alertmanager's webhook receivers know."""
    one = {
        "status": alert.status, "labels": alert.labels, "annotations": alert.annotations, "startsAt": alert.startsAt,
        "endsAt": alert.endsAt or "0001-01-01T00:00:00Z", "generatorURL": alert.generatorURL,
        "fingerprint": alert.fingerprint,
    }  # fmt: skip
    return {
        "version": "4", "groupKey": alert.fingerprint, "truncatedAlerts": 0, "status": alert.status,
        "receiver": receiver, "groupLabels": {"alertname": alert.labels.get("alertname", "")},
        "commonLabels": alert.labels, "commonAnnotations": alert.annotations, "externalURL": "", "alerts": [one],
    }  # fmt: skip
