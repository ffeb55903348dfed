"""Time of year as a point on a circle, so that its end and its beginning are neighbours. No unit, UTC."""

from typing import ClassVar

from models.features.calendar import Turning


class TimeOfYear(Turning, frozen=True, forbid_unknown_fields=True):
    """One turn a year."""

    kind: ClassVar[str] = "time_of_year"
    turn_ms: ClassVar[int] = 31_556_952_000  # the mean Gregorian year; off by at most a day
