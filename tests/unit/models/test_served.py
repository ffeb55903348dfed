"""What a served version says of real prices: intervals that hold in every month, confidence that is calibrated."""

from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt
import pytest

from evenhand.processors.inference import Answer
from evenhand.training.calibration import calibration_error, direction_hits
from models.base import FloatArray, Model, model_kind
from models.candle_files import read_candles
from models.config import read_models_config
from models.linear import Ridge
from models.quantile_trees import QuantileTrees
from models.signature import Signature
from models.training import make_table

ROOT = Path(__file__).parents[3]
HALF, STEPS = 10_000, 3
Answered = tuple[npt.NDArray[np.bool_], FloatArray, FloatArray]


@pytest.fixture(scope="module")
def table() -> tuple[Model, FloatArray, FloatArray]:
    """A ridge that has learned from the first half, and the rows and targets of all hours."""
    endpoint = read_models_config(ROOT / "config" / "models.yaml").endpoint("btc-usd-1h")
    endpoint = msgspec.structs.replace(endpoint, max_horizon=STEPS)
    whole = make_table(read_candles(ROOT / "data" / "btc-usd-1h.parquet"), endpoint)
    model = Ridge(endpoint.signature()).fit(whole.rows[:HALF], whole.targets[:HALF])
    return model, whole.rows, whole.targets


def held(answer: Answer, targets: FloatArray) -> FloatArray:
    bounds = np.array(answer.intervals)
    return ((targets >= bounds[:, :, 0]) & (targets <= bounds[:, :, 1])).astype(float)


def months(inside: FloatArray) -> list[FloatArray]:
    return [inside[start : start + 720].mean(axis=0) for start in range(0, len(inside) - 719, 720)]


def test_a_version_that_is_never_updated_holds_its_promise_for_a_year(
    table: tuple[Model, FloatArray, FloatArray],
) -> None:
    model, rows, targets = table
    inside = held(model.predict(rows[HALF:-STEPS], STEPS), targets[HALF:-STEPS])
    assert (abs(inside[:8760].mean(axis=0) - 0.9) <= 0.02).all()
    assert all((month >= 0.86).all() and (month <= 0.94).all() for month in months(inside))


def test_updated_day_by_day_it_holds_and_is_calibrated_and_a_replay_gives_the_same_bytes(
    table: tuple[Model, FloatArray, FloatArray],
) -> None:
    model, rows, targets = table

    def lived() -> tuple[FloatArray, FloatArray, FloatArray, bytes]:
        now, inside, confidence, values = model, [], [], []
        for start in range(HALF, len(rows) - 24 - STEPS, 24):
            day = slice(start, start + 24)
            answer = now.predict(rows[day], STEPS)
            inside.append(held(answer, targets[day]))
            confidence.append(answer.confidence)
            values.append(answer.values)
            now = type(now).load(now.signature, now.updated(rows[day], targets[day]).save())  # it is stored each day
        return np.concatenate(inside), np.concatenate(confidence), np.concatenate(values), now.save()["learned.json"]

    inside, confidence, values, state = lived()
    assert (abs(inside[:8760].mean(axis=0) - 0.9) <= 0.02).all()
    assert all((month >= 0.86).all() and (month <= 0.94).all() for month in months(inside))
    truth = targets[HALF : HALF + len(values)]
    errors = [calibration_error(confidence[:, k], direction_hits(values[:, k], truth[:, k])) for k in range(STEPS)]
    assert np.mean(errors) <= 0.02
    again = lived()
    assert again[3] == state
    assert (again[1] == confidence).all()


@pytest.mark.parametrize("kind", ["ridge", "boosted_trees", "ensemble"])
def test_a_market_that_stood_still_while_it_was_rated_makes_no_endless_interval(kind: str) -> None:
    random = np.random.default_rng(0)
    moves = np.arange(1000) < 600
    rows = np.column_stack([random.normal(size=1000) * moves, 0.01 * moves])
    targets = 0.01 * (rows[:, :1] + random.normal(size=(1000, 1)) * moves[:, None])
    signature = Signature(features=("a", "rolling_volatility_24"), target="y", unit="fraction", horizon_s=3600)
    answer = model_kind(kind)(signature).fit(rows, targets).predict(np.array([[1.0, 0.01]]))
    assert answer.intervals is not None
    assert 0 < np.ptp(answer.intervals[0][0]) < 1


def test_trees_that_learned_the_spread_know_where_it_is_wild_without_a_feature_that_says_so() -> None:
    random = np.random.default_rng(1)
    rows = random.normal(size=(8000, 9))
    wild = rows[:, 3] > 0.5
    targets = (random.normal(size=8000) * np.where(wild, 3.0, 1.0))[:, None] * 0.01
    endpoint = read_models_config(ROOT / "config" / "models.yaml").endpoint("btc-usd-1h")
    signature = msgspec.structs.replace(endpoint.signature(), features=tuple("abcdefghi"), max_horizon=1)
    model = QuantileTrees(signature, {"num_boost_round": 200}).fit(rows[:6000], targets[:6000])
    fresh, here = slice(6000, 8000), wild[6000:]
    inside = held(model.predict(rows[fresh]), targets[fresh])[:, 0]
    assert inside[here].mean() == pytest.approx(0.9, abs=0.06)  # one width for all would hold 0.68 here
    assert inside[~here].mean() == pytest.approx(0.9, abs=0.03)
