"""Which channels an environment has, what is refused, and that silence is told of."""

import asyncio
import contextlib

import pytest
from pydantic import SecretStr

from adapters.errors import DependencyUnavailable, InvalidSetting
from adapters.notifiers.apprise import Apprise
from adapters.notifiers.base import DeliveryFailed
from adapters.notifiers.channels import channels
from adapters.notifiers.dead_man import watch
from adapters.notifiers.email import Email
from adapters.notifiers.webhook import Webhook
from evenhand.alerts.configured import read_alerts
from evenhand.errors import InvalidConfiguration
from evenhand.events import Alert
from tests.unit.adapters.notifiers.test_notifiers import ALERT

CANARY = "canary-77aa"
DOCUMENTED = {
    "SLACK_WEBHOOK_URL": f"https://hooks.slack.com/services/{CANARY}", "SMTP_SERVER": "smtp.gmail.com",
    "SMTP_PORT": "587", "SMTP_USERNAME": "alerts@company.com", "SMTP_PASSWORD": CANARY,
    "ALERT_FROM_EMAIL": "ml-alerts@company.com", "ALERT_TO_EMAILS": "team@company.com,manager@company.com",
    "MONITORING_WEBHOOK_URL": f"https://your-webhook-endpoint.com/alerts?{CANARY}",
}  # fmt: skip


def test_the_documents_variables_work_as_written() -> None:
    found, missing = channels(read_alerts(""" {} """), DOCUMENTED)
    assert (sorted(found), missing) == (["console", "email", "slack", "webhook"], {})
    mail = found["email"]
    assert isinstance(mail, Email)
    assert (mail.port, mail.security, mail.recipients) == (587, "starttls", ("team@company.com", "manager@company.com"))
    assert CANARY not in repr(found)


def test_what_is_told_by_a_channel_that_is_not_set_is_named() -> None:
    alerts = read_alerts("page: {channels: [slack, hook]}\nchannels: {hook: {kind: webhook, url: HOOK_URL}}")
    found, missing = channels(alerts, {})
    assert (list(found), missing) == (["console"], {"slack": "SLACK_WEBHOOK_URL", "hook": "HOOK_URL"})
    found, missing = channels(alerts, {"HOOK_URL": "https://a.example/"})
    assert isinstance(found["hook"], Webhook)
    assert not found["hook"].allow_private


@pytest.mark.parametrize(("text", "said"), [
    ("thresholds: {max_error_rate: 250}", "max_error_rate: expected float <= 100"),
    ("alert_cooldown: .inf", "alert_cooldown is inf: write a finite number"),
    ("page: {channels: [slakc]}", "no channel is named 'slakc'"),
    ("channels: {hook: {kind: webhook, url: 'https://10.0.0.1/'}}", "expected str matching"),
    ("channels: {hook: {kind: webhook}}", "channels.hook needs url"),
    ("rules: [{name: a, metric: acuracy, comparison: <, threshold: 0.5, unit: fraction}]", "did you mean accuracy"),
    ("rules: [{name: a, metric: accuracy, comparison: <, threshold: 85, unit: '%'}]", "is measured in fraction"),
    ("alert_cooldwon: 15", "did you mean alert_cooldown"),
])  # fmt: skip
def test_a_mistake_in_the_file_is_named(text: str, said: str) -> None:
    with pytest.raises(InvalidConfiguration, match=said):
        read_alerts(text)


def test_a_port_that_is_none_is_refused() -> None:
    with pytest.raises(InvalidSetting, match="SMTP_PORT=smtp"):
        channels(read_alerts("{}"), {**DOCUMENTED, "SMTP_PORT": "smtp"})


@pytest.mark.filterwarnings("ignore:'imghdr'")  # of Apprise
@pytest.mark.parametrize("url", ["json://127.0.0.1/", "mailto://a:b@10.0.0.1", "nothing-known://x"])
async def test_apprise_goes_to_no_host_that_anybody_can_write(url: str) -> None:
    with pytest.raises(DeliveryFailed) as failure:
        await Apprise(url=SecretStr(url)).send(ALERT)
    assert not failure.value.again


async def test_silence_is_told_of_once_and_so_is_its_end() -> None:
    told: list[Alert] = []
    ends, ticking = {0: 5, 1: 5}, asyncio.Event()
    ticking.set()

    async def look() -> dict[int, int]:
        if not ticking.is_set():
            raise DependencyUnavailable("no broker")
        for partition in ends:
            ends[partition] += 1
        return dict(ends)

    async def tell(alert: Alert) -> None:
        told.append(alert)

    async def until(count: int) -> None:
        async with asyncio.timeout(30):
            while len(told) < count:
                await asyncio.sleep(0.01)

    watching = asyncio.create_task(watch(look, 0.5, tell))
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(until(1), 1.0)
    assert told == []
    ticking.clear()
    await until(1)
    ticking.set()
    await until(2)
    watching.cancel()
    assert [(one.status, one.fingerprint) for one in told] == [
        ("firing", told[0].fingerprint), ("resolved", told[0].fingerprint),
    ]  # fmt: skip
    assert told[0].startsAt == told[1].startsAt
