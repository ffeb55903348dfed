"""Time of day as a point on a circle, so that 23:00 and 00:00 are neighbours. No unit, UTC."""

from typing import ClassVar

from models.features.calendar import Turning


class TimeOfDay(Turning, frozen=True, forbid_unknown_fields=True):
    """One turn a day."""

    kind: ClassVar[str] = "time_of_day"
    turn_ms: ClassVar[int] = 86_400_000
