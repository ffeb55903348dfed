"""Volume deviation: how many sample standard deviations the volume lies above its mean. No unit."""

from typing import ClassVar, Literal

from models.features.last import Deviation


class VolumeDeviation(Deviation, frozen=True, forbid_unknown_fields=True):
    """The z-score of the volume among the last `candles` volumes; 0 where nothing changes."""

    kind: ClassVar[str] = "volume_deviation"
    column: ClassVar[Literal["close", "volume"]] = "volume"
