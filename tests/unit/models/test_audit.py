"""Feature files that a stranger drops in are audited like ours."""

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import models.features
from evenhand.errors import EvenhandError
from evenhand.training.leakage import LeakFound, require_clean
from models.audit import audit_candle_features
from models.candle_files import read_candles
from models.features import feature_kinds, make_feature
from models.features.base import _kinds

CANDLES = read_candles(Path(__file__).parents[3] / "data" / "btc-usd-1h.parquet").slice(0, 3000)
FILE = """
from typing import ClassVar
import msgspec
import numpy as np
from scipy.ndimage import gaussian_filter1d, median_filter, uniform_filter1d
from scipy.signal import detrend, savgol_filter
from models.features.base import Feature

class Empty(msgspec.Struct):
    pass

class Stranger(Feature[Empty], frozen=True, forbid_unknown_fields=True):
    kind: ClassVar[str] = "{kind}"
    @property
    def name(self): return "{kind}"
    @property
    def warm_up(self): return 0
    def start(self): return Empty()
    def step(self, state, candle): return candle.close
    def batch(self, candles):
        return {body}
"""
CLOSE, DAY = "candles.close", "candles.open_time // 86400000"
LOG = f"np.log({CLOSE})"
BODIES = {
    # The target itself.
    "target_return": f"np.append(np.diff({LOG}), 0.0)",
    "target_sign": f"np.sign(np.append(np.diff({LOG}), 0.0))",
    "target_two_ahead": f"np.append({LOG}[2:], [0.0, 0.0]) - {LOG}",
    "target_next_high": "np.append(candles.high[1:], 0.0) / candles.close",
    "target_future_mean": f"uniform_filter1d(np.diff({LOG}, append=0.0), 5, origin=-2)",
    # Windows that reach into the future.
    "centred_mean": f"uniform_filter1d({CLOSE}, 9)",
    "centred_median": f"median_filter({CLOSE}, 7)",
    "centred_gaussian": f"gaussian_filter1d({CLOSE}, 2.0)",
    "centred_savgol": f"savgol_filter({CLOSE}, 11, 2)",
    "centred_slope": f"np.gradient({CLOSE})",
    # Scaled, ranked or chosen over the whole history.
    "whole_standardised": f"({CLOSE} - {CLOSE}.mean()) / {CLOSE}.std()",
    "whole_range": f"({CLOSE} - {CLOSE}.min()) / np.ptp({CLOSE})",
    "whole_rank": f"{CLOSE}.argsort().argsort() / len({CLOSE})",
    "whole_clipped": f"np.clip({CLOSE}, *np.quantile({CLOSE}, [0.01, 0.99]))",
    "whole_detrended": f"detrend({CLOSE})",
    # Filled from the future.
    "filled_next_open": "np.append(candles.open[1:], candles.close[-1])",
    "filled_backward": f"{CLOSE}[np.minimum(-(-np.arange(len({CLOSE})) // 4) * 4, len({CLOSE}) - 1)]",
    "filled_interpolated": f"np.interp(np.arange(len({CLOSE})), np.arange(0, len({CLOSE}), 6), {CLOSE}[::6])",
    "filled_nearest": f"{CLOSE}[np.minimum(np.round(np.arange(len({CLOSE})) / 6).astype(int) * 6, len({CLOSE}) - 1)]",
    "filled_whole_mean": f"np.where(np.arange(len({CLOSE})) % 9 == 0, {CLOSE}.mean(), {CLOSE})",
    # Candles of days that have not closed.
    "unclosed_high": f"np.array([candles.high[{DAY} == d].max() for d in {DAY}])",
    "unclosed_low": f"np.array([candles.low[{DAY} == d].min() for d in {DAY}])",
    "unclosed_close": f"np.array([{CLOSE}[{DAY} == d][-1] for d in {DAY}])",
    "unclosed_volume": f"np.array([candles.volume[{DAY} == d].sum() for d in {DAY}])",
    "unclosed_mean": f"np.array([{CLOSE}[{DAY} == d].mean() for d in {DAY}])",
}
DISAGREES = {"stranger_other": f"{CLOSE} * 1.0001"}  # no look ahead, but not what its own step says
FILES = {**BODIES, **DISAGREES}


@pytest.fixture
def dropped_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for kind, body in FILES.items():
        (tmp_path / f"{kind}.py").write_text(FILE.format(kind=kind, body=body))
    monkeypatch.setattr(models.features, "__path__", [*models.features.__path__, str(tmp_path)])
    importlib.invalidate_caches()
    yield
    for kind in FILES:
        _kinds.pop(kind, None)
        sys.modules.pop(f"models.features.{kind}", None)


@pytest.mark.usefixtures("dropped_in")
def test_a_strangers_leaking_files_are_named_and_ours_are_not() -> None:
    ours = [make_feature({"kind": kind}) for kind in ("log_return", "rolling_volatility", "rsi", "macd")]
    strangers = [make_feature({"kind": kind}) for kind in FILES]
    leaks = audit_candle_features([*ours, *strangers], CANDLES, seed=1)
    assert {leak.where for leak in leaks} == set(FILES)
    # Each is found by what it says of the past, not only because its two forms differ.
    assert {leak.where for leak in leaks if "candle by candle" in leak.evidence} == set(DISAGREES)
    with pytest.raises(LeakFound, match="unclosed_high"):
        require_clean(leaks)


def test_all_our_features_pass() -> None:
    together = CANDLES.beside(market=CANDLES)
    features = [make_feature({"kind": kind}) for kind in feature_kinds()]
    require_clean(audit_candle_features(features, together, seed=2))


def test_too_few_candles_are_refused() -> None:
    with pytest.raises(EvenhandError, match="too few to audit"):
        audit_candle_features([make_feature({"kind": "log_return"})], CANDLES.slice(0, 50), seed=1)
