"""What every feature of `models/features/` promises. A new file there is tested by existing."""

import itertools
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from evenhand.errors import InvalidConfiguration
from models.candle_files import read_candles
from models.candles import Candles
from models.config import read_models_config
from models.features import Feature, feature_kinds, make_feature
from models.features.engine import CandleNotClosed, CandleOutOfOrder, FeatureEngine

HOUR_MS = 3_600_000
KINDS = sorted(feature_kinds())
# Windows that a short history fills, for features that have them.
SHORT: dict[str, object] = {"candles": 3, "fast": 2, "slow": 4, "signal": 3, "smooth": 2}


def declarations() -> Iterator[dict[str, Any]]:
    """Return the shortest declarations of each kind, one for each choice that it has."""
    for kind, feature_class in feature_kinds().items():
        options: dict[str, list[object]] = {}
        for field in msgspec.inspect.type_info(feature_class).fields:  # type: ignore[attr-defined]
            if isinstance(field.type, msgspec.inspect.LiteralType):
                options[field.name] = list(field.type.values)
            elif isinstance(field.type, msgspec.inspect.BoolType):
                options[field.name] = [False, True]
            elif field.name in SHORT:
                options[field.name] = [SHORT[field.name]]
        for choice in itertools.product(*options.values()):
            yield {"kind": kind, **dict(zip(options, choice, strict=True))}


DECLARATIONS = list(declarations())


@st.composite
def histories(draw: st.DrawFn) -> Candles:
    """Candles with gaps, calm and wild stretches, hours without trade, and another series that lacks some of them."""
    count = draw(st.integers(2, 60))
    hours = draw(st.lists(st.sampled_from([1, 1, 1, 1, 1, 1, 1, 2, 30]), min_size=count, max_size=count))
    open_time = 1_500_000_400_000 // HOUR_MS * HOUR_MS + np.cumsum(hours).astype(np.int64) * HOUR_MS
    lacking = draw(st.sets(st.integers(1, count - 1), max_size=2))
    market = draw(series(np.delete(open_time, sorted(lacking))))
    return draw(series(open_time)).beside(market=market)


@st.composite
def series(draw: st.DrawFn, open_time: npt.NDArray[np.int64]) -> Candles:
    """Candles of one series at the given times."""
    count = len(open_time)
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    wild = draw(st.sampled_from([0.0, 1e-6, 0.01, 3.0]))
    close = np.exp(np.clip(np.cumsum(random.normal(size=count) * wild), -12, 12)) * draw(
        st.sampled_from([1e-3, 1.0, 1e5])
    )
    opened = np.concatenate([close[:1], close[:-1]])
    spread = np.exp(abs(random.normal(size=(2, count))) * wild / 10)
    volume = random.exponential(size=count) * (random.random(count) > draw(st.sampled_from([0.0, 0.5, 1.0])))
    high, low = np.maximum(opened, close) * spread[0], np.minimum(opened, close) / spread[1]
    return Candles(open_time, opened, high, low, close, volume, HOUR_MS)


@pytest.fixture(params=DECLARATIONS, ids=lambda declared: make_feature(declared).name)
def feature(request: pytest.FixtureRequest) -> "Feature[object]":
    """Each kind of feature, with each choice that it has."""
    return make_feature(request.param)


PROPERTY = settings(deadline=None, max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])


@PROPERTY
@given(candles=histories(), restarts=st.sets(st.integers(0, 59)))
def test_candle_by_candle_is_the_whole_history(
    feature: "Feature[object]", candles: Candles, restarts: set[int]
) -> None:
    engine = FeatureEngine([feature], HOUR_MS)
    stepped = []
    for place, candle in enumerate(candles):
        if place in restarts:
            held = engine.dump()
            engine = FeatureEngine([feature], HOUR_MS)
            engine.restore(held)
        stepped.append(engine.step(candle))
    np.testing.assert_allclose(stepped, engine.batch(candles), rtol=1e-9, atol=1e-9)


@pytest.mark.slow
@settings(PROPERTY, max_examples=20)
@given(candles=histories())
def test_each_beginning_of_a_history_ends_in_what_was_known_then(feature: "Feature[object]", candles: Candles) -> None:
    engine = FeatureEngine([feature], HOUR_MS)
    for known, candle in enumerate(candles, start=1):
        value = engine.step(candle)
        np.testing.assert_allclose(engine.batch(candles.slice(0, known))[-1], value, rtol=1e-9, atol=1e-9)


@PROPERTY
@given(candles=histories(), cut=st.integers(0, 60))
def test_no_value_knows_the_future(feature: "Feature[object]", candles: Candles, cut: int) -> None:
    engine = FeatureEngine([feature], HOUR_MS)
    known = engine.batch(candles.slice(0, cut))
    np.testing.assert_allclose(known, engine.batch(candles)[:cut], rtol=1e-12, atol=1e-12)


@PROPERTY
@given(candles=histories())
def test_the_warm_up_is_as_declared(feature: "Feature[object]", candles: Candles) -> None:
    values = FeatureEngine([feature], HOUR_MS).batch(candles)[:, 0]
    for start, stop in candles.runs():
        warm = min(start + feature.warm_up, stop)
        assert np.isnan(values[start:warm]).all()
        assert np.isfinite(values[warm:stop]).all()


def test_the_registry_finds_the_features() -> None:
    assert {"log_return", "lag", "rolling_volatility", "macd", "relative_return"} <= set(KINDS)


def test_parameters_have_defaults_and_make_the_name() -> None:
    for kind in KINDS:
        assert make_feature({"kind": kind}).name
        if "candles" in feature_kinds()[kind].__struct_fields__:
            assert make_feature({"kind": kind, "candles": 7}).name != make_feature({"kind": kind, "candles": 8}).name


def test_a_candle_that_comes_again_is_refused() -> None:
    engine = FeatureEngine.declared([{"kind": "log_return"}], HOUR_MS)
    candles = list(_flat(3))
    engine.step(candles[1])
    for late in candles[:2]:
        with pytest.raises(CandleOutOfOrder):
            engine.step(late)


def test_fifty_thousand_candles_a_second_go_through_the_default_features() -> None:
    root = Path(__file__).parents[2]
    candles = list(read_candles(root / "data" / "btc-usd-1h.parquet").slice(0, 10_000))
    declared = read_models_config(root / "config" / "models.yaml").endpoint("btc-usd-1h").features
    rates = []
    for _ in range(3):
        engine = FeatureEngine.declared(declared, HOUR_MS)
        start = time.process_time()  # of this process alone: others may want the core, too
        for candle in candles:
            engine.step(candle)
        rates.append(len(candles) / (time.process_time() - start))
    assert max(rates) >= 50_000


def test_a_candle_that_is_still_open_is_refused() -> None:
    engine = FeatureEngine.declared([{"kind": "log_return"}], HOUR_MS)
    first, second, _ = _flat(3)
    engine.step(first, now_ms=first.open_time + HOUR_MS)
    with pytest.raises(CandleNotClosed, match="closes in 1 ms"):
        engine.step(second, now_ms=second.open_time + HOUR_MS - 1)
    assert engine.step(second, now_ms=second.open_time + HOUR_MS) == [0.0]


def test_a_series_that_a_feature_reads_must_be_there() -> None:
    engine = FeatureEngine.declared([{"kind": "lag", "of": {"kind": "relative_return", "series": "eth"}}], HOUR_MS)
    with pytest.raises(InvalidConfiguration, match="the features read eth"):
        engine.batch(_flat(3))
    with pytest.raises(InvalidConfiguration, match="the features read eth"):
        engine.step(next(iter(_flat(3))))


def test_a_candle_that_one_series_lacks_is_a_gap_for_all() -> None:
    whole = _flat(9)
    joined = whole.beside(market=_flat(9).rows(np.arange(9) != 4))
    assert joined.runs() == [(0, 4), (4, 8)]
    assert joined.others["market"].open_time.tolist() == joined.open_time.tolist()


def test_a_state_of_other_features_is_refused() -> None:
    engine = FeatureEngine.declared([{"kind": "log_return"}], HOUR_MS)
    other = FeatureEngine.declared([{"kind": "log_return", "candles": 2}], HOUR_MS)
    with pytest.raises(ValueError, match="log_return_1, log_return_2"):
        other.restore(engine.dump())


def _flat(count: int) -> Candles:
    ones = np.ones(count)
    return Candles(np.arange(count, dtype=np.int64) * HOUR_MS, ones, ones, ones, ones, ones, HOUR_MS)
