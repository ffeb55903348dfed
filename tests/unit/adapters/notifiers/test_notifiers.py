"""Channels against real servers: what is sent, what is refused, what is tried again, and what is never told."""

import asyncio
import hashlib
import hmac
import io
import json
import ssl
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import trustme
from aiosmtpd.controller import Controller
from pydantic import SecretStr

from adapters.errors import InvalidSetting
from adapters.notifiers.base import Channel, DeliveryFailed
from adapters.notifiers.console import Console
from adapters.notifiers.delivery import deliver
from adapters.notifiers.email import Email
from adapters.notifiers.http import CheckedResolver, post
from adapters.notifiers.slack import Slack, message
from adapters.notifiers.webhook import Webhook
from evenhand.events import AlertFired, AlertResolved

CANARY = "canary-5e1f"
ALERT = AlertFired(
    id="a1", time=1_542_153_600_000, key="f", status="firing", fingerprint="f", startsAt="2018-11-14T00:00:00.000Z",
    labels={"alertname": "slow", "severity": "critical", "model": "<m>\r\nBcc: x@y"},
    annotations={"summary": "p95 is 2000 ms & rising", "runbook_url": "https://runbooks.example/slow"},
)  # fmt: skip


class Server:
    """Answers with the statuses in turn, the last for ever; keeps what it got."""

    def __init__(self) -> None:
        self.statuses, self.wait_s = [200], 0.0
        self.got: list[tuple[str, dict[str, str], bytes]] = []
        outer = self

        class Answering(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                outer.got.append((self.path, dict(self.headers), body))
                time.sleep(outer.wait_s)
                status = outer.statuses.pop(0) if len(outer.statuses) > 1 else outer.statuses[0]
                self.send_response(status)
                self.send_header("Location", "http://127.0.0.1:1/elsewhere")
                self.send_header("Retry-After", "7")
                self.end_headers()

            def log_message(self, *arguments: Any) -> None:
                return

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Answering)
        self.url = f"http://127.0.0.1:{self.http.server_port}/{CANARY}"
        threading.Thread(target=self.http.serve_forever, daemon=True).start()


@pytest.fixture
def server() -> Iterator[Server]:
    started = Server()
    yield started
    started.http.shutdown()
    started.http.server_close()


def webhook(server: Server, **more: Any) -> Webhook:
    return Webhook(url=SecretStr(server.url), secret=SecretStr(CANARY), allow_private=True, **more)


async def test_a_webhook_gets_alertmanagers_body_signed_and_with_a_key(server: Server) -> None:
    await webhook(server).send(ALERT)
    _, headers, body = server.got[0]
    sent = json.loads(body)
    assert (sent["version"], sent["status"], sent["alerts"][0]["fingerprint"]) == ("4", "firing", "f")
    when, mac = headers["X-Evenhand-Signature"].removeprefix("t=").split(",v1=")
    assert mac == hmac.new(CANARY.encode(), f"{when}.".encode() + body, hashlib.sha256).hexdigest()
    assert headers["Idempotency-Key"] == ALERT.id


async def test_slack_gets_blocks_with_text_escaped(server: Server) -> None:
    await Slack(url=SecretStr(server.url), allow_private=True).send(ALERT)
    sent = json.loads(server.got[0][2])
    assert sent == json.loads(json.dumps(message(ALERT)))
    text = json.dumps(sent)
    assert sent["blocks"][0]["type"] == "header"
    assert "&lt;m&gt;" in text
    assert "ms &amp; rising" in text
    assert "<https://runbooks.example/slow|Runbook>" in text


@pytest.mark.parametrize(("statuses", "delivered", "tries"), [
    ([500, 429, 503, 200], True, 4), ([400], False, 1), ([302], False, 1), ([500], False, 6),
])  # fmt: skip
async def test_what_may_pass_is_tried_again_and_what_is_hopeless_is_not(
    server: Server, statuses: list[int], delivered: bool, tries: int
) -> None:
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    server.statuses = statuses
    ended = await deliver(webhook(server), ALERT, deadline_s=40, sleep=sleep)
    assert (ended.delivered, ended.tries, len(server.got)) == (delivered, tries, tries)
    assert all(wait >= 7 for wait in waits)
    assert {headers["Idempotency-Key"] for _, headers, _ in server.got} == {"a1"}


class Broken:
    """A channel with a mistake in it."""

    name = "broken"

    def __init__(self, error: Exception) -> None:
        self.error = error

    async def send(self, alert: AlertFired | AlertResolved) -> None:
        raise self.error


@pytest.mark.parametrize(("channel", "tries", "said"), [
    (Broken(UnicodeError(CANARY)), 2, "broken: not delivered (UnicodeError)"),
    (Broken(InvalidSetting("install it")), 1, "broken: install it"),
    (Slack(url=SecretStr(f"https://[::1/{CANARY}")), 1, "slack: the URL cannot be read: write https://host/path"),
    (Webhook(url=SecretStr(f"https://h:{CANARY}/")), 1, "webhook: the URL cannot be read: write https://host/path"),
])  # fmt: skip
async def test_whatever_a_channel_raises_is_a_failed_delivery_of_its_own(
    channel: Channel, tries: int, said: str
) -> None:
    async def sleep(seconds: float) -> None:
        return

    ended = await deliver(channel, ALERT, deadline_s=0.6, sleep=sleep)
    assert (ended.delivered, ended.tries, ended.reason) == (False, tries, said)


async def test_a_slow_server_is_left_at_the_deadline(server: Server) -> None:
    server.wait_s = 2.0
    with pytest.raises(DeliveryFailed, match="no answer within"):
        await asyncio.wait_for(webhook(server, deadline_s=0.2).send(ALERT), 1.9)


async def test_secrets_are_in_no_message_repr_or_dead_letter(server: Server) -> None:
    server.statuses = [500]
    channel = webhook(server)
    ended = await deliver(channel, ALERT, deadline_s=0.0)
    server.http.shutdown()
    server.http.server_close()
    gone = await deliver(channel, ALERT, deadline_s=0.0)
    mail = Email(server="127.0.0.1", port=1, sender="a@b", recipients=("c@d",), password=SecretStr(CANARY))
    dead = await deliver(mail, ALERT, deadline_s=0.0)
    assert not any(one.delivered for one in (ended, gone, dead))
    assert CANARY not in repr((ended, gone, dead, channel, mail, Slack(url=SecretStr(CANARY))))


@pytest.mark.parametrize("url", [
    "https://169.254.169.254/latest/meta-data", "https://[::ffff:127.0.0.1]/", "https://2130706433/", "https://127.1/",
    "https://localhost/", "https://10.0.0.1/", "https://[fe80::1]/", "https://[fec0::1]/", "http://1.1.1.1/", "https://1.1.1.1:22/",
    "https://user:word@1.1.1.1/", "file:///etc/passwd", "https://0.0.0.0/",
])  # fmt: skip
async def test_our_own_network_is_out_of_reach(url: str) -> None:
    with pytest.raises(DeliveryFailed) as failure:
        await post(url, b"", {}, channel="webhook", deadline_s=5)
    assert not failure.value.again


async def test_a_name_that_is_rebound_to_a_private_address_is_refused() -> None:
    class Rebinding(CheckedResolver):
        async def lookup(self, host: str, port: int) -> list[str]:
            return ["1.1.1.1", "127.0.0.1"]

    with pytest.raises(DeliveryFailed, match="private"):
        await post("https://rebound.example/", b"", {}, channel="w", resolver=Rebinding(allow_private=False))


class Inbox:
    """Takes mail, or answers with `refusal`; can drop connections."""

    def __init__(self) -> None:
        self.mails: list[bytes] = []
        self.refusals: list[str] = []

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802 - aiosmtpd's name
        if self.refusals:
            refusal = self.refusals.pop(0)
            if refusal == "drop":
                server.transport.close()
            return refusal
        self.mails.append(envelope.content)
        return "250 OK"


@pytest.fixture
def certified(tmp_path: Path) -> tuple[ssl.SSLContext, str]:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    return context, str(tmp_path / "ca.pem")


@pytest.mark.parametrize("security", ["starttls", "tls", "plain"])
async def test_mail_arrives_once_with_its_key_and_no_header_of_a_label(
    security: Any, certified: tuple[ssl.SSLContext, str], unused_tcp_port: int
) -> None:
    context, ca_file = certified
    inbox = Inbox()
    inbox.refusals = ["451 later", "drop"]
    how: dict[str, Any] = {"plain": {}, "tls": {"ssl_context": context}}.get(
        security, {"tls_context": context, "require_starttls": True}
    )
    controller = Controller(inbox, hostname="127.0.0.1", port=unused_tcp_port, server_hostname="localhost", **how)
    await asyncio.to_thread(controller.start)
    try:
        mail = Email(
            server="localhost", port=controller.port, sender="alerts@example.org", recipients=("a@example.org",),
            security=security, ca_file=ca_file,
        )  # fmt: skip
        ended = await deliver(mail, ALERT, first_wait_s=0.01)
    finally:
        await asyncio.to_thread(controller.stop)
    assert (ended.delivered, ended.tries, len(inbox.mails)) == (True, 3, 1)
    head, body = inbox.mails[0].split(b"\r\n\r\n", 1)
    assert b"Message-ID: <a1@evenhand>" in head
    assert b"\nBcc" not in head
    assert b"p95 is 2000 ms" in body


async def test_a_server_without_starttls_gets_no_password(unused_tcp_port: int) -> None:
    controller = Controller(Inbox(), hostname="127.0.0.1", port=unused_tcp_port)
    await asyncio.to_thread(controller.start)
    try:
        mail = Email(
            server="127.0.0.1", port=controller.port, sender="a@b", recipients=("c@d",), password=SecretStr(CANARY)
        )
        with pytest.raises(DeliveryFailed, match="STARTTLS") as failure:
            await mail.send(ALERT)
    finally:
        await asyncio.to_thread(controller.stop)
    assert not failure.value.again


async def test_the_console_has_a_line_an_alert() -> None:
    stream = io.StringIO()
    await Console(stream).send(ALERT)
    assert stream.getvalue() == "2018-11-14T00:00:00.000Z firing p95 is 2000 ms & rising [a1]\n"
