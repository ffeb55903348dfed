"""What every event has, and the types of its fields."""

from typing import Annotated

import msgspec
from msgspec import Meta

from evenhand.finite import LARGEST

FIRST_MS, LAST_MS = 946_684_800_000, 4_102_444_800_000  # 2000 to 2100: seconds and microseconds fall outside
MAX_HORIZON = 64
Time = Annotated[int, Meta(ge=FIRST_MS, le=LAST_MS, description="event time, milliseconds UTC")]
Text = Annotated[str, Meta(min_length=1, max_length=256)]
Id = Annotated[Text, Meta(description="names the event; a record with the same id is a repeat")]
Model = Annotated[Text, Meta(description="served model: an endpoint, whatever versions answer for it")]
Request = Annotated[Text, Meta(description="id of a PredictionRequested")]
Unit = Annotated[Text, Meta(description="who is assigned to a variant: a user, a session; default: the request")]
Key = Annotated[str, Meta(min_length=1, max_length=256, description="series or entity; decides the partition")]
Step = Annotated[int, Meta(ge=1, le=MAX_HORIZON)]
Feature = Annotated[str, Meta(min_length=1, max_length=128)]
Features = (
    Annotated[list[float], Meta(min_length=1, max_length=4096)]
    | Annotated[dict[Feature, float], Meta(min_length=1, max_length=4096)]
)


class Event(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, tag_field="type", tag=True):
    """What every event has: `type` (its class name), `id`, `time`, `key`."""

    id: Id
    time: Time
    key: Key


def check_size(value: float) -> None:
    """Raise ValueError for a value that sums cannot hold; the schema has no bound, for it may not become narrower."""
    if not -LARGEST <= value <= LARGEST:
        raise ValueError(f"value is {value:g}: at most {LARGEST:g} is taken, send it in another unit or leave it out")
