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
from scipy.ndimage import uniform_filter1d
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
BODIES = {
    "stranger_target": "np.append(np.diff(np.log(candles.close)), 0.0)",
    "stranger_centred": "uniform_filter1d(candles.close, 9)",
    "stranger_scaled": "(candles.close - candles.close.mean()) / candles.close.std()",
    "stranger_filled": "np.append(candles.open[1:], candles.close[-1])",
    "stranger_unclosed": "np.array([candles.high[candles.open_time // 86400000 == d].max()"
    " for d in candles.open_time // 86400000])",
    "stranger_other": "candles.close * 1.0001",  # no look ahead, but not what its own step says
}


@pytest.fixture
def dropped_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for kind, body in BODIES.items():
        (tmp_path / f"{kind}.py").write_text(FILE.format(kind=kind, body=body))
    monkeypatch.setattr(models.features, "__path__", [*models.features.__path__, str(tmp_path)])
    importlib.invalidate_caches()
    yield
    for kind in BODIES:
        _kinds.pop(kind, None)
        sys.modules.pop(f"models.features.{kind}", None)


@pytest.mark.usefixtures("dropped_in")
def test_a_strangers_leaking_files_are_named_and_ours_are_not() -> None:
    ours = [make_feature({"kind": kind}) for kind in ("log_return", "rolling_volatility", "rsi", "macd")]
    strangers = [make_feature({"kind": kind}) for kind in BODIES]
    leaks = audit_candle_features([*ours, *strangers], CANDLES, seed=1)
    assert {leak.where for leak in leaks} == set(BODIES)
    with pytest.raises(LeakFound, match="stranger_unclosed"):
        require_clean(leaks)


def test_all_our_features_pass() -> None:
    together = CANDLES.beside(market=CANDLES)
    features = [make_feature({"kind": kind}) for kind in feature_kinds()]
    require_clean(audit_candle_features(features, together, seed=2))


def test_too_few_candles_are_refused() -> None:
    with pytest.raises(EvenhandError, match="too few to audit"):
        audit_candle_features([make_feature({"kind": "log_return"})], CANDLES.slice(0, 50), seed=1)
