"""The lowest low of the last candles. Unit: price; relative: fraction, natural log."""

from typing import ClassVar, Literal

from models.features.last import Extreme


class RollingMinimum(Extreme, frozen=True, forbid_unknown_fields=True):
    """The lowest low of the last `candles` candles, or how far the close stands above it."""

    kind: ClassVar[str] = "rolling_minimum"
    column: ClassVar[Literal["high", "low"]] = "low"
    sign: ClassVar[float] = -1.0
