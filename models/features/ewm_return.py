"""Mean log return with exponential weights. Unit: fraction, natural log."""

from typing import ClassVar

from models.features.last import OfSmoothedReturns


class EwmReturn(OfSmoothedReturns, frozen=True, forbid_unknown_fields=True):
    """m = weight r + (1 - weight) m, weight 2 / (candles + 1), started by the mean of the first `candles`."""

    kind: ClassVar[str] = "ewm_return"
