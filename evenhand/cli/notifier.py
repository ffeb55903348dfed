"""`evenhand notifier`: tells channels of alerts, beside the agents and outside their group."""

import asyncio
import logging
import sys
from typing import TYPE_CHECKING

import typer

from evenhand.cli.output import note

if TYPE_CHECKING:
    from adapters.kafka.settings import KafkaSettings
    from adapters.notifiers.base import Channel
    from evenhand.alerts.configured import Alerts


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(notifier)


def notifier() -> None:
    """Deliver what `notifications.v1` holds, to the channels that config/alerts.yaml and the environment name.

    At least once, with one id for all tries of an alert; what a channel does not take within an hour becomes a dead
    letter. One notifier runs for a loop: `evenhand up` starts it where a channel is set.
    """
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s: %(message)s", level=logging.WARNING)
    from evenhand.client.connection import kafka_settings

    settings = kafka_settings()
    alerts, channels = configured()
    note(f"telling {', '.join(channels)}")
    from evenhand.cli.worker import run_until_signal

    run_until_signal(_notify(settings, alerts, channels))


def configured() -> tuple["Alerts", "dict[str, Channel]"]:
    """What alerts.yaml says, and the channels that there are; those that are missing are noted."""
    import os

    from evenhand.client.checkout import root

    checkout = root()
    from adapters.configuration import config_folder, read_alerting
    from adapters.notifiers.channels import channels

    alerts = read_alerting(config_folder(checkout))
    found, missing = channels(alerts, os.environ)
    for name, lacking in missing.items():
        note(f"channel {name} is not set: {lacking} is missing")
    return alerts, found


async def _notify(settings: "KafkaSettings", alerts: "Alerts", channels: "dict[str, Channel]") -> None:
    from adapters.notifiers.dead_man import ends_of, watch
    from adapters.notifiers.delivery import deliver
    from adapters.notifiers.notifier import notify
    from evenhand.cli.following import beat
    from evenhand.events import Alert

    async def tell(alert: Alert) -> None:
        names = [name for name in alerts.page.channels if name in channels]
        for sent in await asyncio.gather(*(deliver(channels[name], alert) for name in names)):
            if not sent.delivered:  # the broker may be what is silent: there is nowhere else to say so
                note(f"not delivered, {alert.annotations['summary']!r}: {sent.reason}")

    async with asyncio.TaskGroup() as group:
        group.create_task(beat("notifier"))
        group.create_task(notify(settings, channels))
        if alerts.dead_mans_switch_s is not None:
            group.create_task(watch(ends_of(settings), alerts.dead_mans_switch_s, tell))
    sys.stderr.flush()
