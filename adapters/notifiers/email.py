"""E-mail over SMTP, encrypted unless plain is asked for."""

import asyncio
import functools
import smtplib
import ssl
from email.message import EmailMessage
from typing import Literal

import msgspec
from pydantic import SecretStr

from adapters.notifiers.base import Alert, DeliveryFailed


class Email(msgspec.Struct, frozen=True, kw_only=True):
    """`SMTP_SERVER`, `SMTP_PORT`, `SMTP_USERNAME`, `SMTP_PASSWORD`, `ALERT_FROM_EMAIL`, `ALERT_TO_EMAILS`.

    `security`: STARTTLS (port 587), TLS from the first byte (465), or plain. The Message-ID is made of the alert's id,
    so that a repeat threads, and mail programs may drop it.
    """

    server: str
    sender: str
    recipients: tuple[str, ...]
    port: int = 587
    security: Literal["starttls", "tls", "plain"] = "starttls"
    username: str = ""
    password: SecretStr = SecretStr("")
    ca_file: str | None = None
    name: str = "email"
    deadline_s: float = 10.0

    async def send(self, alert: Alert) -> None:
        try:
            await asyncio.wait_for(
                asyncio.to_thread(self._send, compose(alert, self.sender, self.recipients)), 2 * self.deadline_s
            )
        except smtplib.SMTPResponseException as error:
            raise DeliveryFailed(f"{self.name}: answered {error.smtp_code}", again=error.smtp_code < 500) from None
        except smtplib.SMTPNotSupportedError:
            raise DeliveryFailed(f"{self.name}: the server offers no STARTTLS: set security", again=False) from None
        except (smtplib.SMTPException, OSError) as error:
            raise DeliveryFailed(f"{self.name}: not delivered ({type(error).__name__})") from None

    def _send(self, mail: EmailMessage) -> None:
        client: smtplib.SMTP
        if self.security == "tls":
            client = smtplib.SMTP_SSL(self.server, self.port, timeout=self.deadline_s, context=trusted(self.ca_file))
        else:
            client = smtplib.SMTP(self.server, self.port, timeout=self.deadline_s)
        with client:
            if self.security == "starttls":
                client.starttls(context=trusted(self.ca_file))
            if self.username:
                client.login(self.username, self.password.get_secret_value())
            client.send_message(mail)


@functools.cache
def trusted(ca_file: str | None) -> ssl.SSLContext:
    """The authorities that are believed, read once, for that takes longer than ten mails."""
    return ssl.create_default_context(cafile=ca_file)


def compose(alert: Alert, sender: str, recipients: tuple[str, ...]) -> EmailMessage:
    """A plain text mail; what a user wrote into a label cannot add a header."""
    mail = EmailMessage()
    severity, name = alert.labels.get("severity", "alert"), alert.labels.get("alertname", "")
    mail["Subject"] = " ".join(f"[{severity}] {name} {alert.status}".split())
    mail["From"], mail["To"] = sender, ", ".join(recipients)
    mail["Message-ID"] = f"<{alert.id}@evenhand>"
    mail["X-Evenhand-Alert"] = alert.id
    lines = [alert.annotations.get("summary", ""), "", *(f"{k}: {v}" for k, v in sorted(alert.labels.items()))]
    lines += ["", f"since {alert.startsAt}", *([f"until {alert.endsAt}"] if alert.endsAt else [])]
    lines += [f"{key}: {value}" for key, value in sorted(alert.annotations.items()) if key != "summary"]
    mail.set_content("\n".join(lines))
    return mail
