"""Rolling deviation: how many sample standard deviations the close lies above the mean of the last closes. No unit."""

from typing import ClassVar

from models.features.last import Deviation


class RollingDeviation(Deviation, frozen=True, forbid_unknown_fields=True):
    """The z-score of the close among the last `candles` closes; 0 where nothing moves."""

    kind: ClassVar[str] = "rolling_deviation"
