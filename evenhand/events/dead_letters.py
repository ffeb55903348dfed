"""What could not be read."""

from evenhand.events.event import Event, Text


class DeadLettered(Event, frozen=True, kw_only=True, omit_defaults=True):
    """A record that could not be taken: where it lies, why, how long it is, its digest and its first 64 KiB."""

    topic: Text
    partition: int
    offset: int
    reason: str
    length: int
    digest: Text
    payload: str = ""
    payload_base64: str = ""
