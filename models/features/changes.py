"""What lies between two candles: true range and returns."""

import numpy as np

from models.candles import Candle, Candles
from models.features.base import FloatArray


def true_range(candle: Candle, last_close: float) -> float:
    """Return the greatest of high - low, |high - last close| and |low - last close| (Wilder 1978)."""
    return max(candle.high, last_close) - min(candle.low, last_close)


def true_ranges(candles: Candles) -> FloatArray:
    """True ranges from the second candle on."""
    ranges: FloatArray = np.maximum(candles.high[1:], candles.close[:-1]) - np.minimum(
        candles.low[1:], candles.close[:-1]
    )
    return ranges


def log_changes(values: FloatArray) -> FloatArray:
    """ln(value / value before) from the second on; the quotient first, so that small changes keep their digits."""
    changes: FloatArray = np.log(values[1:] / values[:-1])
    return changes


def typical(candle: Candle) -> float:
    """Typical price, (high + low + close) / 3."""
    return (candle.high + candle.low + candle.close) / 3.0


def typicals(candles: Candles) -> FloatArray:
    """Typical prices."""
    prices: FloatArray = (candles.high + candles.low + candles.close) / 3.0
    return prices
