"""Deliver until it is taken or hopeless: back-off, a deadline over all tries, and then a dead letter."""

import asyncio
from collections.abc import Awaitable, Callable

import msgspec

from adapters.notifiers.base import Alert, Channel, DeliveryFailed
from evenhand.errors import EvenhandError


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """How it ended; `reason` is fit for a dead letter, and holds no secret."""

    channel: str
    alert_id: str
    delivered: bool
    tries: int
    reason: str = ""


async def deliver(
    channel: Channel,
    alert: Alert,
    *,
    deadline_s: float = 300.0,
    first_wait_s: float = 0.5,
    longest_wait_s: float = 30.0,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> Delivery:
    """Try at once, then after 0.5, 1, 2, ... s, or when the channel says. Waits are counted, not measured."""
    wait, waited, tries = first_wait_s, 0.0, 0
    while True:
        tries += 1
        try:
            await channel.send(alert)
            return Delivery(channel=channel.name, alert_id=alert.id, delivered=True, tries=tries)
        except Exception as error:  # noqa: BLE001 - what one channel raises must stop no other
            failure = error if isinstance(error, DeliveryFailed) else _unforeseen(channel, error)
            pause = max(wait, failure.after_s)
            if not failure.again or waited + pause > deadline_s:
                return Delivery(
                    channel=channel.name, alert_id=alert.id, delivered=False, tries=tries, reason=str(failure)
                )
        await sleep(pause)
        waited, wait = waited + pause, min(2 * wait, longest_wait_s)


def _unforeseen(channel: Channel, error: Exception) -> DeliveryFailed:
    """By its kind alone: its words may hold a secret, unless they are ours."""
    if isinstance(error, EvenhandError):
        return DeliveryFailed(f"{channel.name}: {error}", again=False)
    return DeliveryFailed(f"{channel.name}: not delivered ({type(error).__name__})")
