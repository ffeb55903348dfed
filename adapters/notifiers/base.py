"""What a channel is, and how a delivery fails."""

from typing import Protocol

from evenhand.errors import EvenhandError
from evenhand.events import Alert

__all__ = ["Alert", "Channel", "DeliveryFailed"]


class DeliveryFailed(EvenhandError):
    """A channel did not take an alert. The message names no address, header or body: a webhook's URL is a secret."""

    def __init__(self, message: str, *, again: bool = True, after_s: float = 0.0) -> None:
        super().__init__(message)
        self.again, self.after_s = again, after_s


class Channel(Protocol):
    """Sends one alert at a time; the alert's `id` is the idempotency key, and a repeat carries the same one."""

    @property
    def name(self) -> str:
        """What rules call it."""

    async def send(self, alert: Alert) -> None:
        """Return when it is taken; DeliveryFailed says whether to try again. It ends within its own deadline."""
