"""Time of week as a point on a circle, so that its end and its beginning are neighbours. No unit, UTC."""

from typing import ClassVar

from models.features.calendar import Turning


class TimeOfWeek(Turning, frozen=True, forbid_unknown_fields=True):
    """One turn a week."""

    kind: ClassVar[str] = "time_of_week"
    turn_ms: ClassVar[int] = 604_800_000
    from_ms: ClassVar[int] = 345_600_000  # Monday, 1970-01-05; the epoch began on a Thursday
