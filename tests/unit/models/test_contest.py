"""From candles to a verdict."""

from pathlib import Path

import msgspec
import numpy as np
import pytest

from evenhand.errors import InvalidConfiguration
from evenhand.training.contest import ENSEMBLE, Place, as_markdown, contest
from evenhand.training.examples import Examples
from evenhand.training.rating import rate
from evenhand.training.walk_forward import Walk, WalkForward, walk
from models.candle_files import read_candles
from models.config import read_models_config
from models.learners import examples_of, learner
from models.signature import Signature

ROOT = Path(__file__).parents[3]
HOUR = 3_600_000


def examples(count: int, seed: int, signal: float) -> Examples:
    """Rows of five numbers; the first decides, with that weight, what comes next."""
    random = np.random.default_rng(seed)
    made = np.arange(count, dtype=np.int64) * HOUR
    rows = random.normal(size=(count, 5))
    targets = random.normal(size=(count, 1)) + signal * rows[:, :1]
    return Examples(made, made[:, None] + HOUR, rows, targets)


def run(made: Examples, kinds: dict[str, dict[str, object]]) -> dict[str, Place]:
    signature = Signature(features=tuple("abcde"), target="y", unit="fraction", horizon_s=3600)
    plan = WalkForward(start_ms=int(made.made_at[len(made) // 2]), test_ms=len(made) // 4 * HOUR)
    walks = {kind: walk(made, plan, learner(kind, signature, parameters)) for kind, parameters in kinds.items()}
    return {place.model: place for place in contest(made, walks, ["drift", "ewma"], [1]).places}


KINDS: dict[str, dict[str, object]] = {
    "drift": {},
    "ewma": {},
    "ridge": {"alpha": 1.0},
    "boosted_trees": {},
    "lstm": {"epochs": 8},
    "transformer": {"epochs": 8},
}


def test_on_a_random_walk_nobody_has_skill() -> None:
    places = run(examples(3000, 3, 0.0), KINDS)
    assert {place.scores.verdict for place in places.values()} == {"no skill"}
    assert places[ENSEMBLE].scores.rmse <= places["naive"].scores.rmse * 1.01


def test_where_there_is_a_signal_who_finds_it_has_skill() -> None:
    places = run(examples(4000, 4, 0.7), KINDS)
    for model in ("ridge", "boosted_trees", "lstm", "transformer", ENSEMBLE):
        assert places[model].scores.verdict == "skill"
        assert places[model].scores.rmse <= 1.1  # the noise, which nobody can forecast, is 1
        assert places[model].scores.coverage_90 == pytest.approx(0.9, abs=0.03)
    assert places["drift"].scores.verdict == places["naive"].scores.verdict == "no skill"
    best = min(place.scores.rmse for place in places.values())
    assert places[ENSEMBLE].scores.rmse <= best * 1.01
    table = as_markdown(list(places.values()))
    assert table.count("| skill |") == 8  # the ensembles with fixed weights, too
    assert "| 1 | naive |" in table


def test_models_that_walked_by_different_plans_are_not_compared() -> None:
    made = examples(200, 1, 0.0)
    some = Walk(np.arange(100, 200), np.zeros((100, 1)), np.zeros(100, dtype=np.int64))
    other = msgspec.structs.replace(some, rows=some.rows - 1)
    with pytest.raises(InvalidConfiguration, match="different rows"):
        contest(made, {"a": some, "b": other}, [], [1])
    with pytest.raises(InvalidConfiguration, match="drift have no forecasts"):
        contest(made, {"a": some}, ["drift"], [1])
    with pytest.raises(InvalidConfiguration, match="name at least one"):
        contest(made, {}, [], [1])


def test_intervals_of_real_prices_hold_every_month() -> None:
    candles = read_candles(ROOT / "data" / "btc-usd-1h.parquet")
    outcomes = np.diff(np.log(candles.close))
    answers = rate(np.zeros(len(outcomes)), outcomes, delay=7)
    held = ((outcomes >= answers.low) & (outcomes <= answers.high))[1000:]
    months = [held[start : start + 720].mean() for start in range(0, len(held) - 719, 720)]
    years = [held[start : start + 8760].mean() for start in range(0, len(held) - 8759, 8760)]
    assert all(0.86 <= month <= 0.94 for month in months)
    assert all(0.88 <= year <= 0.92 for year in years)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_real_prices_get_intervals_that_hold_and_an_honest_verdict() -> None:
    endpoint = msgspec.structs.replace(
        read_models_config(ROOT / "config" / "models.yaml").endpoint("btc-usd-1h"), max_horizon=7
    )
    made = examples_of(read_candles(ROOT / "data" / "btc-usd-1h.parquet"), endpoint)
    plan = WalkForward(start_ms=int(made.made_at[8000]), test_ms=60 * 24 * HOUR)
    kinds: dict[str, dict[str, object]] = {"drift": {}, "ridge": {}, "boosted_trees": {"min_data_in_leaf": 50}}
    walks = {kind: walk(made, plan, learner(kind, endpoint.signature(), given)) for kind, given in kinds.items()}
    places, regrets = contest(made, walks, ["drift"], [1, 7])
    for regret in regrets:
        at = {place.model: place.scores for place in places if place.scores.step == regret.step}
        best = min(at[name].rmse ** 2 for name in (*kinds, "naive"))
        assert at[ENSEMBLE].rmse ** 2 == pytest.approx(regret.loss_ratio * best)
        assert regret.loss_ratio <= 1.001
        assert regret.regret <= regret.bound
        for each in at.values():
            assert each.coverage_90 == pytest.approx(0.9, abs=0.02)
            # A few hundred forecasts cannot show an error of 2 %: trees that see nothing at step 7 say no direction.
            assert each.calibration_error is None or each.directed < 0.5 or each.calibration_error <= 0.02
