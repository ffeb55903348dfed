"""Volatility with exponential weights: the root of the smoothed squared log returns (RiskMetrics)."""

from typing import ClassVar

from models.features.last import OfSmoothedReturns


class EwmVolatility(OfSmoothedReturns, frozen=True, forbid_unknown_fields=True):
    """v = weight r^2 + (1 - weight) v; weight 2 / (candles + 1); started by the mean of the first `candles`."""

    kind: ClassVar[str] = "ewm_volatility"
    squared: ClassVar[bool] = True
