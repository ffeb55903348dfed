"""The served ensemble: near its best expert, saved and brought back, and learning on from matured outcomes."""

from pathlib import Path

import numpy as np
import pytest
import yaml

from evenhand.errors import InvalidConfiguration
from models.base import FloatArray
from models.candle_files import read_candles
from models.config import models_config
from models.ensemble import Ensemble
from models.signature import Signature
from models.store import ModelStore
from models.training import train_on

ROOT = Path(__file__).parents[3]

SIGNATURE = Signature(features=("a", "b", "c"), target="y", unit="fraction", horizon_s=60, max_horizon=2)
LINEAR = {"kind": "ridge", "parameters": {"alpha": 1.0}}
EXPERTS = {"experts": [LINEAR, {"kind": "online"}, {"kind": "drift"}]}


def table(count: int, seed: int, slope: float = 1.0) -> tuple[FloatArray, FloatArray]:
    random = np.random.default_rng(seed)
    rows = random.normal(size=(count, 3))
    targets = random.normal(size=(count, 2)) * 0.01
    targets[:, 0] += slope * 0.01 * rows[:, 0]
    return rows, targets


def loss(model: Ensemble, rows: FloatArray, targets: FloatArray) -> float:
    return float(((model.forecast(rows, 2) - targets) ** 2).mean(axis=0)[0])


@pytest.mark.parametrize("weights", ["boa", "equal", "inverse_loss", "stacking"])
def test_it_is_near_its_best_expert(weights: str) -> None:
    rows, targets = table(4000, 1)
    model = Ensemble(SIGNATURE, {**EXPERTS, "weights": weights}).fit(rows, targets)
    assert model.step_weights(0).shape == (4,)  # the random walk, too
    assert model.step_weights(0).sum() == pytest.approx(1.0)
    fresh = table(4000, 2)
    best = min(loss_of(expert.forecast(fresh[0], 1)[:, 0], fresh[1]) for expert in model._experts)
    # That of the random walk is twice as much.
    assert loss(model, *fresh) <= best * (1.25 if weights in {"equal", "inverse_loss"} else 1.05)


def loss_of(values: FloatArray, targets: FloatArray) -> float:
    return float(((values - targets[:, 0]) ** 2).mean())


def test_where_nothing_can_be_known_it_says_next_to_nothing() -> None:
    rows, targets = table(6000, 3, slope=0.0)
    model = Ensemble(SIGNATURE, EXPERTS).fit(rows, targets)
    fresh = table(4000, 4, slope=0.0)
    assert loss(model, *fresh) <= 1.001 * float((fresh[1] ** 2).mean(axis=0)[0])


def test_weights_go_on_from_outcomes_and_the_version_stays() -> None:
    rows, targets = table(3000, 5)
    model = Ensemble(SIGNATURE, EXPERTS).fit(rows, targets)
    held = model.save()
    turned = table(3000, 6, slope=-1.0)  # ridge is wrong now; what learns online follows
    newer = Ensemble.load(SIGNATURE, held).updated(*turned)
    assert model.save() == held
    fresh = table(3000, 7, slope=-1.0)
    assert loss(newer, *fresh) < 0.5 * loss(model, *fresh)
    assert newer.step_weights(0)[0] < 0.05 < model.step_weights(0)[0]
    in_parts = model
    for start in range(0, 3000, 1000):
        in_parts = in_parts.updated(turned[0][start : start + 1000], turned[1][start : start + 1000])
    assert in_parts.save() == newer.save()


def test_experts_that_are_none_are_refused() -> None:
    with pytest.raises(InvalidConfiguration, match="no model of kind 'rigde'"):
        Ensemble(SIGNATURE, {"experts": [{"kind": "rigde"}]}).fit(*table(500, 1))
    with pytest.raises(InvalidConfiguration, match="experts"):
        Ensemble(SIGNATURE, {"experts": []})


def test_an_ensemble_is_declared_like_any_version(tmp_path: Path) -> None:
    data = yaml.safe_load((ROOT / "config" / "models.yaml").read_text())
    endpoint = data["models"]["btc-usd-1h"]
    endpoint["max_horizon"] = 2
    endpoint["versions"].append({"version": "1.2.0", "kind": "ensemble", "parameters": {**EXPERTS, "weights": "boa"}})
    declared = models_config(data).endpoint("btc-usd-1h")
    candles = read_candles(ROOT / "data" / "btc-usd-1h.parquet").slice(0, 2500)
    store = ModelStore(tmp_path)
    train_on(candles, "btc", store, "btc-usd-1h", declared)
    served = ModelStore(tmp_path).load("btc-usd-1h", "1.2.0")  # from the files alone
    rows = np.random.default_rng(1).normal(size=(3, len(served.features)))
    answer = served.predict(rows, 2)
    assert np.isfinite(answer.values).all()
    assert answer.intervals is not None
    endpoint["versions"][-1]["parameters"]["weights"] = "boo"
    with pytest.raises(InvalidConfiguration, match=r"parameters of 1\.2\.0 \(ensemble\): Invalid enum value 'boo'"):
        models_config(data)
