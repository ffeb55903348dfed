"""What every feature of `models/features/` promises. A new file there is tested by existing."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from models.candles import Candles
from models.features import Feature, feature_kinds, make_feature
from models.features.engine import CandleOutOfOrder, FeatureEngine

HOUR_MS = 3_600_000
KINDS = sorted(feature_kinds())
SHORT = {"candles": 3}  # a window that a short history fills, for features that have one


def declaration(kind: str) -> dict[str, object]:
    """Return the shortest declaration of a kind."""
    fields = feature_kinds()[kind].__struct_fields__
    return {"kind": kind, **{name: value for name, value in SHORT.items() if name in fields}}


@st.composite
def histories(draw: st.DrawFn) -> Candles:
    """Candles with gaps, calm and wild stretches, and hours without trade."""
    count = draw(st.integers(1, 60))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    wild = draw(st.sampled_from([0.0, 1e-6, 0.01, 3.0]))
    close = np.exp(np.clip(np.cumsum(random.normal(size=count) * wild), -12, 12)) * draw(
        st.sampled_from([1e-3, 1.0, 1e5])
    )
    opened = np.concatenate([close[:1], close[:-1]])
    spread = np.exp(abs(random.normal(size=(2, count))) * wild / 10)
    volume = random.exponential(size=count) * (random.random(count) > draw(st.sampled_from([0.0, 0.5, 1.0])))
    hours = draw(st.lists(st.sampled_from([1, 1, 1, 1, 1, 1, 1, 2, 30]), min_size=count, max_size=count))
    return Candles(
        1_500_000_400_000 // HOUR_MS * HOUR_MS + np.cumsum(hours).astype(np.int64) * HOUR_MS,
        opened,
        np.maximum(opened, close) * spread[0],
        np.minimum(opened, close) / spread[1],
        close,
        volume,
        HOUR_MS,
    )


@pytest.fixture(params=KINDS)
def feature(request: pytest.FixtureRequest) -> "Feature[object]":
    """Each kind of feature."""
    return make_feature(declaration(request.param))


PROPERTY = settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])


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
    assert {"log_return", "lag", "rolling_volatility"} <= set(KINDS)


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


def test_a_state_of_other_features_is_refused() -> None:
    engine = FeatureEngine.declared([{"kind": "log_return"}], HOUR_MS)
    other = FeatureEngine.declared([{"kind": "log_return", "candles": 2}], HOUR_MS)
    with pytest.raises(ValueError, match="log_return_1, log_return_2"):
        other.restore(engine.dump())


def _flat(count: int) -> Candles:
    ones = np.ones(count)
    return Candles(np.arange(count, dtype=np.int64) * HOUR_MS, ones, ones, ones, ones, ones, HOUR_MS)
