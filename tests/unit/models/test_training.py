"""Training the declared versions: in seconds, from the past alone; and the challengers whose worth is known."""

from datetime import UTC, datetime
from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt
import pytest

from evenhand.errors import EvenhandError, InvalidConfiguration, ModelUnavailable
from models.base import FloatArray
from models.broken import fails
from models.candle_files import read_candles
from models.candles import Candles
from models.config import Endpoint, read_models_config
from models.store import ModelStore
from models.training import make_table, seen_candles, step_returns, train_default, train_on
from models.trial import HINT, VERSIONS, add_challenger, hint

ROOT = Path(__file__).parents[3]
DATA = ROOT / "data" / "btc-usd-1h.parquet"
NAME = "btc-usd-1h"
HOUR_MS = 3_600_000


@pytest.fixture(scope="module")
def endpoint() -> Endpoint:
    return read_models_config(ROOT / "config" / "models.yaml").endpoint(NAME)


@pytest.fixture(scope="module")
def candles() -> Candles:
    return read_candles(DATA)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory, endpoint: Endpoint, candles: Candles) -> ModelStore:
    store = ModelStore(tmp_path_factory.mktemp("models"))
    train_default(DATA, store, NAME, endpoint)
    for challenger in VERSIONS:
        add_challenger(challenger, candles, store, NAME, endpoint)
    return store


def later(endpoint: Endpoint, candles: Candles) -> tuple[FloatArray, FloatArray, npt.NDArray[np.int64]]:
    """Rows, first-step targets and target times of what no version has seen."""
    assert endpoint.train_until is not None
    table = make_table(candles, endpoint)
    new = (table.open_time >= endpoint.train_until.timestamp() * 1000) & np.isfinite(table.targets[:, 0])
    return table.rows[new], table.targets[new, 0], table.open_time[new] + 2 * HOUR_MS


def test_targets_are_the_returns_of_each_step_alone_and_stop_at_gaps() -> None:
    close = np.exp(np.array([0.0, 1, 3, 6, 10]))
    hours = np.array([0, 1, 2, 4, 5]) * HOUR_MS
    targets = step_returns(Candles(hours, close, close, close, close, close, HOUR_MS), 2)
    nan = float("nan")
    expected = np.array([[1, 2], [2, nan], [nan, nan], [4, nan], [nan, nan]])
    np.testing.assert_allclose(targets, expected)


def test_the_first_versions_have_seen_nothing_of_the_stream(store: ModelStore, endpoint: Endpoint) -> None:
    assert endpoint.train_until is not None
    for version in ("1.0.0", "1.1.0", VERSIONS["oracle"]):
        description = store.describe(NAME, version).description
        assert description.trained_to == endpoint.train_until.timestamp() * 1000
        assert description.rows > 6000


def test_another_future_trains_the_same_versions(
    tmp_path: Path, store: ModelStore, endpoint: Endpoint, candles: Candles
) -> None:
    seen = len(seen_candles(candles, endpoint))
    other = ModelStore(tmp_path)
    changed = _with_other_future(candles, seen)
    train_on(changed, DATA.name, other, NAME, endpoint)
    for version in ("1.0.0", "1.1.0"):
        assert other.describe(NAME, version).digest == store.describe(NAME, version).digest


def _with_other_future(candles: Candles, seen: int) -> Candles:
    factor = np.where(np.arange(len(candles)) < seen, 1.0, 2.0)
    prices = (candles.open * factor, candles.high * factor, candles.low * factor, candles.close * factor)
    return Candles(candles.open_time, *prices, candles.volume, candles.interval_ms)


def test_a_second_start_trains_nothing(store: ModelStore, endpoint: Endpoint) -> None:
    versions = train_default(Path("not-read.parquet"), store, NAME, endpoint)
    assert list(versions) == ["1.0.0", "1.1.0"]


def test_no_version_but_the_oracle_beats_the_random_walk_by_much(
    store: ModelStore, endpoint: Endpoint, candles: Candles
) -> None:
    rows, truth, times = later(endpoint, candles)
    walk = float((truth**2).mean())
    for version in ("1.0.0", "1.1.0"):
        values = np.array(store.load(NAME, version).predict(rows).values)[:, 0]
        assert 0.97 < float(((values - truth) ** 2).mean()) / walk < 1.03
    hints = [hint(value, int(time), 99) for value, time in zip(truth, times, strict=True)]
    oracle = store.load(NAME, VERSIONS["oracle"])
    assert oracle.features == (*store.load(NAME, "1.0.0").features, HINT)
    values = np.array(oracle.predict(np.column_stack([rows, hints])).values)[:, 0]
    assert float(((values - truth) ** 2).mean()) / walk < 0.6


def test_the_twin_answers_like_the_champion(store: ModelStore, endpoint: Endpoint, candles: Candles) -> None:
    rows, _, _ = later(endpoint, candles)
    assert store.load(NAME, VERSIONS["twin"]).predict(rows, 24) == store.load(NAME, "1.0.0").predict(rows, 24)


def test_the_broken_one_fails_on_one_row_in_ten(store: ModelStore, endpoint: Endpoint, candles: Candles) -> None:
    rows, _, _ = later(endpoint, candles)
    broken, champion = store.load(NAME, VERSIONS["broken"]), store.load(NAME, "1.0.0")
    failing = np.array([fails(row) for row in rows])
    assert 0.08 < failing.mean() < 0.12
    assert broken.predict(rows[~failing]) == champion.predict(rows[~failing])
    for row in rows[failing][:20]:
        with pytest.raises(RuntimeError, match="on purpose"):
            broken.predict(row[None])


def test_what_cannot_be_trained_says_why(tmp_path: Path, endpoint: Endpoint, candles: Candles) -> None:
    store = ModelStore(tmp_path)
    early = msgspec.structs.replace(endpoint, train_until=datetime(2001, 1, 1, tzinfo=UTC))
    for other, message in (
        (early, "set it later"),
        (msgspec.structs.replace(endpoint, horizon_s=60), "3600 s long.*60 s"),
        (msgspec.structs.replace(endpoint, target="demand"), "demand"),
        (msgspec.structs.replace(endpoint, train_until=datetime(2017, 7, 8, tzinfo=UTC)), "too few"),
    ):
        with pytest.raises(EvenhandError, match=message):
            train_on(candles, "candles", store, NAME, other)
    with pytest.raises(ModelUnavailable):
        add_challenger("twin", candles, store, NAME, endpoint)
    with pytest.raises(InvalidConfiguration, match="did you mean 'oracle'"):
        add_challenger("orakel", candles, store, NAME, endpoint)
