"""What TA-Lib computes, our features compute; and where it has nothing, scipy, pandas' definition or plain numpy."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import talib
from numpy.lib.stride_tricks import sliding_window_view
from scipy import stats
from talib._ta_lib import MA_Type

from models.candle_files import read_candles
from models.candles import Candles
from models.features import make_feature
from models.features.base import FloatArray

CANDLES = read_candles(Path(__file__).parents[2] / "data" / "btc-usd-1h.parquet").slice(0, 4000)
Oracle = Callable[[Candles], FloatArray]


def column(values: object, place: int) -> FloatArray:
    """One of several outputs."""
    return np.asarray(values[place])  # type: ignore[index]


def relative(name: str) -> Oracle:
    """ln(close / level)."""
    return lambda c: np.log(c.close / getattr(talib, name)(c.close, 20))


TALIB: list[tuple[dict[str, object], Oracle]] = [
    ({"kind": "sma"}, lambda c: talib.SMA(c.close, 20)),
    ({"kind": "sma", "relative": True}, relative("SMA")),
    ({"kind": "ema"}, lambda c: talib.EMA(c.close, 20)),
    ({"kind": "ema", "relative": True}, relative("EMA")),
    ({"kind": "macd"}, lambda c: column(talib.MACD(c.close), 0)),
    ({"kind": "macd", "line": "signal"}, lambda c: column(talib.MACD(c.close), 1)),
    ({"kind": "macd", "line": "histogram"}, lambda c: column(talib.MACD(c.close), 2)),
    ({"kind": "macd", "fast": 5, "slow": 35, "signal": 5}, lambda c: column(talib.MACD(c.close, 5, 35, 5), 0)),
    ({"kind": "rsi"}, lambda c: talib.RSI(c.close, 14)),
    ({"kind": "bollinger", "line": "upper"}, lambda c: column(talib.BBANDS(c.close, 20, 2, 2), 0)),
    ({"kind": "bollinger", "line": "lower"}, lambda c: column(talib.BBANDS(c.close, 20, 2, 2), 2)),
    ({"kind": "atr"}, lambda c: talib.ATR(c.high, c.low, c.close, 14)),
    ({"kind": "atr", "relative": True}, lambda c: talib.NATR(c.high, c.low, c.close, 14) / 100),
    ({"kind": "adx"}, lambda c: talib.ADX(c.high, c.low, c.close, 14)),
    (
        {"kind": "stochastic", "line": "k"},
        lambda c: column(talib.STOCH(c.high, c.low, c.close, 5, 3, MA_Type.SMA, 3, MA_Type.SMA), 0),
    ),
    (
        {"kind": "stochastic", "line": "d"},
        lambda c: column(talib.STOCH(c.high, c.low, c.close, 5, 3, MA_Type.SMA, 3, MA_Type.SMA), 1),
    ),
    ({"kind": "cci"}, lambda c: talib.CCI(c.high, c.low, c.close, 14)),
    ({"kind": "williams_r"}, lambda c: talib.WILLR(c.high, c.low, c.close, 14)),
    ({"kind": "obv"}, lambda c: talib.OBV(c.close, c.volume)),
    ({"kind": "rate_of_change"}, lambda c: talib.ROC(c.close, 10)),
    ({"kind": "money_flow_index"}, lambda c: talib.MFI(c.high, c.low, c.close, c.volume, 14)),
    ({"kind": "rolling_maximum"}, lambda c: talib.MAX(c.high, 24)),
    ({"kind": "rolling_minimum"}, lambda c: talib.MIN(c.low, 24)),
]


@pytest.mark.parametrize(
    ("declared", "oracle"), TALIB, ids=lambda each: make_feature(each).name if isinstance(each, dict) else ""
)
def test_it_is_what_talib_computes(declared: dict[str, object], oracle: Oracle) -> None:
    feature = make_feature(declared)
    values, expected = feature.batch(CANDLES), np.array(oracle(CANDLES))
    # TA-Lib shows the first k only where d is known, and the MACD line where its signal is.
    first = np.flatnonzero(np.isfinite(expected))[0]
    assert feature.warm_up <= first <= feature.warm_up + 2
    np.testing.assert_allclose(values[first:], expected[first:], rtol=1e-9, atol=1e-9 * CANDLES.close.max())


def windows(values: FloatArray, size: int) -> FloatArray:
    """Plain windows."""
    return sliding_window_view(values, size)


def ewm(values: FloatArray, size: int) -> FloatArray:
    """The definition, value by value."""
    smoothed = [values[:size].mean()]
    for value in values[size:]:
        smoothed.append(smoothed[-1] + 2 / (size + 1) * (value - smoothed[-1]))
    return np.array(smoothed)


def test_features_that_talib_lacks_are_their_definition() -> None:
    market = replace(CANDLES, close=CANDLES.close[::-1].copy())
    candles = CANDLES.beside(market=market)
    returns, others = np.diff(np.log(CANDLES.close)), np.diff(np.log(market.close))
    prices = (CANDLES.high + CANDLES.low + CANDLES.close) / 3
    paid, volume = windows(prices * CANDLES.volume, 24).sum(axis=1), windows(CANDLES.volume, 24)
    closes = windows(CANDLES.close, 24)
    correlations = [
        stats.pearsonr(x, y).statistic for x, y in zip(windows(returns, 24), windows(others, 24), strict=True)
    ]
    weekday = (CANDLES.open_time / 86_400_000 + 3) % 7 / 7  # 1970-01-01 was a Thursday
    expected = {
        "rolling_skew": stats.skew(windows(returns, 24), axis=1),
        "rolling_deviation": (CANDLES.close[23:] - closes.mean(axis=1)) / closes.std(axis=1, ddof=1),
        "volume_deviation": (CANDLES.volume[23:] - volume.mean(axis=1)) / volume.std(axis=1, ddof=1),
        "vwap": paid / volume.sum(axis=1),
        "ewm_volatility": np.sqrt(ewm(returns**2, 24)),
        "ewm_return": ewm(returns, 24),
        "relative_return": returns - others,
        "rolling_correlation": np.array(correlations),
        "time_of_week": np.sin(2 * np.pi * weekday),
    }
    for kind, values in expected.items():
        feature = make_feature({"kind": kind})
        np.testing.assert_allclose(
            feature.batch(candles)[feature.warm_up :], values, rtol=1e-7, atol=1e-9, err_msg=kind
        )
