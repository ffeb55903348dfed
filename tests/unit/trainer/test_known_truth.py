"""Series whose best error is known: who can find the signal comes within a tenth of it; on noise nobody does."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl
import pytest

from models.config import ModelsConfig, models_config
from models.store import ModelStore
from trainer.pipeline import train
from trainer.progress import Told
from trainer.report import TrainingReport
from trainer.settings import TrainingSettings

NOISE = 0.01  # the best root mean squared error that there can be
COUNT, LAGS = 12_000, 12
MODELS = ("naive", "ridge", "lightgbm", "lstm", "transformer")  # the ensemble of what walked is always judged


def returns_of(series: str) -> npt.NDArray[np.float64]:
    """Returns that the last one or one of long ago decides in part; the rest is noise."""
    random = np.random.default_rng(11)
    noise = random.normal(size=COUNT) * NOISE
    made = noise.copy()
    for place in range(LAGS, COUNT):
        if series == "linear":
            made[place] += 0.7 * made[place - 1]
        elif series == "threshold":
            made[place] += NOISE if abs(made[place - 1]) > NOISE else -NOISE
        elif series == "long_lag":
            made[place] += NOISE if abs(made[place - 10]) > NOISE else -NOISE
    return made


def declared() -> ModelsConfig:
    one = {"kind": "log_return", "candles": 1}
    lags = [{"kind": "lag", "of": one, "candles": lag} for lag in range(1, LAGS)]
    endpoint = {
        "target": "log_return", "unit": "fraction", "horizon_s": 3600, "wait_s": 7200, "champion": "1.0.0",
        "features": [one, *lags], "versions": [{"version": "1.0.0", "kind": "naive"}],
    }  # fmt: skip
    return models_config({"models": {"series": endpoint}})


def trained(series: str, folder: Path) -> TrainingReport:
    """Walk through candles of these returns."""
    close = 100 * np.exp(np.cumsum(returns_of(series)))
    opened = np.concatenate([[100.0], close[:-1]])
    path = folder / "series.parquet"
    pl.DataFrame(
        {
            "open_time": 1_500_000_000_000 + np.arange(COUNT) * 3_600_000,
            "open": opened,
            "high": np.maximum(opened, close),
            "low": np.minimum(opened, close),
            "close": close,
            "volume": np.ones(COUNT),
        }
    ).write_parquet(path)
    settings = TrainingSettings(data=path, models=MODELS, folds=2, seed=5)
    return train(settings, declared(), ModelStore(folder / "models"), folder / "kept", Told(print))


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    ("series", "finders"),
    [
        ("linear", {"ridge", "lightgbm", "lstm", "transformer", "ensemble"}),
        ("threshold", {"lightgbm", "lstm", "transformer", "ensemble"}),
        ("long_lag", {"lightgbm", "lstm", "transformer", "ensemble"}),
        ("random_walk", set()),
    ],
)
def test_who_can_find_the_signal_comes_within_a_tenth_of_the_best(
    series: str, finders: set[str], tmp_path: Path
) -> None:
    report = trained(series, tmp_path)
    assert {name for name, one in report.models.items() if one.verdict == "skill"} >= finders
    for name in finders:
        assert report.models[name].rmse <= 1.1 * NOISE, name
    if not finders:
        assert {one.verdict for one in report.models.values()} == {"no skill"}
    if series in {"threshold", "long_lag"}:
        assert report.models["ridge"].rmse > 1.25 * NOISE  # no line finds it
    for name in ("lightgbm", "lstm", "transformer"):
        curve = report.curves[name]
        assert min(held for _, held in curve) < curve[0][1] or not finders  # it got better while it learned
    assert "| learning curve |" in report.text()
