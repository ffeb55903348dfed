"""The highest high of the last candles. Unit: price; relative: fraction, natural log."""

from typing import ClassVar

from models.features.last import Extreme


class RollingMaximum(Extreme, frozen=True, forbid_unknown_fields=True):
    """The highest high of the last `candles` candles, or how far the close stands above it."""

    kind: ClassVar[str] = "rolling_maximum"
