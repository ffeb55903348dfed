"""Nets answer in numpy what they have learned in torch, and learn what others cannot see."""

import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from evenhand.errors import EvenhandError, ModelUnavailable
from models.base import FloatArray, Model
from models.boosted_trees import BoostedTrees
from models.card import Description
from models.lstm import Lstm
from models.naive import Naive
from models.nets import Net
from models.onnx_net import Floats, agrees
from models.signature import Signature
from models.store import ModelStore
from models.transformer import Transformer

LENGTH = 12
SIGNATURE = Signature(
    features=(*(f"lag_{lag}" for lag in range(LENGTH)), "hour"),
    target="y",
    unit="fraction",
    horizon_s=60,
    max_horizon=2,
)
KINDS: list[type[Net]] = [Lstm, Transformer]


def table(count: int, seed: int) -> tuple[FloatArray, FloatArray, FloatArray]:
    """A sign that lies nine steps back decides, beyond a threshold: what no line through the features finds."""
    random = np.random.default_rng(seed)
    series = random.normal(size=count + LENGTH)
    rows = np.column_stack([*(series[LENGTH - lag : LENGTH - lag + count] for lag in range(LENGTH)), np.zeros(count)])
    signal = np.where(np.abs(rows[:, 9]) > 0.7, 1.0, -1.0)
    noise = random.normal(size=(count, 2)) * 0.5
    return rows, np.column_stack([signal, -signal]) * 0.01 + noise * 0.01, signal * 0.01


@pytest.mark.parametrize("kind", KINDS)
def test_numpy_answers_what_torch_answers(kind: type[Net]) -> None:
    rows, targets, _ = table(400, 1)
    model = kind(SIGNATURE, {"length": LENGTH, "epochs": 2}).fit(rows, targets, seed=3)
    w = model._plain
    z = model._sequences((rows - w["row_mean"]) / w["row_scale"])
    assert z.shape == (400, LENGTH, 2)
    assert z[0, -1, 0] == (rows[0, 0] - w["row_mean"][0]) / w["row_scale"][0]  # the newest comes last
    with torch.no_grad():
        weights = {name: torch.from_numpy(value) for name, value in w.items()}
        hidden = model.graph(weights, torch.from_numpy(z)) @ weights["out_weight"].T + weights["out_bias"]
    expected = w["target_mean"] + w["target_scale"] * hidden.numpy()
    np.testing.assert_allclose(model.forecast(rows, 2), expected, rtol=1e-9, atol=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_a_long_lag_beyond_a_threshold_is_learned_to_within_a_tenth_of_the_best(kind: type[Net]) -> None:
    rows, targets, _ = table(12_000, 2)
    model = kind(SIGNATURE, {"length": LENGTH}).fit(rows, targets, seed=4)
    fresh, truth, signal = table(3000, 5)
    error = np.sqrt(((model.forecast(fresh, 1)[:, 0] - truth[:, 0]) ** 2).mean())
    best = np.sqrt(((signal - truth[:, 0]) ** 2).mean())
    assert error <= 1.1 * best


@pytest.mark.parametrize("kind", [*KINDS, BoostedTrees])
def test_who_listens_hears_each_round_while_it_learns(kind: type[Model]) -> None:
    rows, targets, _ = table(400, 1)
    rounds = {"num_boost_round": 3} if kind is BoostedTrees else {"length": LENGTH, "epochs": 3}
    model, heard = kind(SIGNATURE, rounds), list[tuple[int, float, float]]()

    def hear(number: int, learned: float, held_out: float) -> None:
        heard.append((number, learned, held_out))
        assert len(model.curve) == len(heard)  # and no more yet

    model.fit(rows, targets, 3, hear)
    assert [number for number, _, _ in heard] == [0, 1, 2, 3]  # 0 is before the first
    assert [losses for _, *losses in heard] == [list(each) for each in model.curve]
    assert model.curve[1][0] < model.curve[0][0]


@pytest.mark.parametrize("kind", KINDS)
def test_on_noise_a_net_says_next_to_nothing(kind: type[Net]) -> None:
    random = np.random.default_rng(6)
    rows, targets = random.normal(size=(3000, 13)), random.normal(size=(3000, 2)) * 0.01
    model = kind(SIGNATURE, {"length": LENGTH, "epochs": 8}).fit(rows[:2000], targets[:2000], seed=1)
    naive = Naive(SIGNATURE).fit(rows[:2000], targets[:2000])
    losses = [((each.forecast(rows[2000:], 1)[:, 0] - targets[2000:, 0]) ** 2).mean() for each in (model, naive)]
    assert losses[0] <= 1.05 * losses[1]


def test_one_row_through_an_lstm_takes_at_most_a_fifth_of_a_millisecond() -> None:
    rows, targets, _ = table(400, 1)
    model = Lstm(SIGNATURE, {"length": LENGTH, "epochs": 1}).fit(rows, targets)
    taken = []
    for _ in range(50):
        start = time.process_time_ns()
        for place in range(20):
            model.forecast(rows[place : place + 1], 1)
        taken.append((time.process_time_ns() - start) / 20)
    assert min(taken) <= 200_000


def test_the_number_of_threads_is_left_as_it_was() -> None:
    before = torch.get_num_threads()
    rows, targets, _ = table(400, 1)
    Lstm(SIGNATURE, {"epochs": 1}).fit(rows, targets)
    assert torch.get_num_threads() == before


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU is here")
@pytest.mark.parametrize("kind", KINDS)
def test_on_a_gpu_it_learns_as_well_and_answers_without_one(kind: type[Net], monkeypatch: pytest.MonkeyPatch) -> None:
    rows, targets, _ = table(12_000, 2)
    fresh, truth, _ = table(3000, 5)

    def error() -> float:
        model = kind(SIGNATURE, {"length": LENGTH}).fit(rows, targets, seed=4)
        loaded = kind.load(SIGNATURE, model.save())
        return float(np.sqrt(((loaded.forecast(fresh, 1)[:, 0] - truth[:, 0]) ** 2).mean()))

    on_gpu = error()
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert on_gpu <= 1.05 * error()


@pytest.mark.parametrize("kind", KINDS)
def test_onnx_answers_what_numpy_answers_and_many_times_as_fast(kind: type[Net]) -> None:
    rows, targets, fresh = *table(600, 1)[:2], table(501, 2)[0]
    parameters = {"length": LENGTH, "epochs": 2}
    plain = kind(SIGNATURE, parameters).fit(rows, targets, seed=3)
    model = kind(SIGNATURE, {**parameters, "onnx": True}).fit(rows, targets, seed=3)
    assert model.by_onnx
    assert not plain.by_onnx
    expected = plain.forecast(fresh, 2)
    np.testing.assert_allclose(model.forecast(fresh, 2), expected, atol=1e-5 * model.residual_sd[0])
    files = model.save()
    assert files["net.safetensors"] == plain.save()["net.safetensors"]
    again = kind.load(SIGNATURE, files)
    whole = again.forecast(fresh, 2)
    for size in (1, 2, 7, 100, 501):
        parts = [again.forecast(fresh[at : at + size], 2) for at in range(0, 501, size)]
        np.testing.assert_array_equal(np.concatenate(parts), whole)
    assert again.forecast(fresh[:0], 2).shape == (0, 2)
    took = [_least(each, fresh) for each in (model, plain)]
    assert took[0] < took[1] / 5, took


def _least(model: Net, rows: FloatArray) -> int:
    times = []
    for _ in range(3):
        start = time.process_time_ns()
        model.forecast(rows, 2)
        times.append(time.process_time_ns() - start)
    return min(times)


def test_a_graph_that_answers_otherwise_is_not_taken() -> None:
    sequences = np.random.default_rng(1).normal(size=(70, 3, 2)).astype(np.float32)

    def sums(given: Floats, wrong_by: float = 0.0) -> Floats:
        found: Floats = (given.sum(axis=(1, 2))[:, None] + wrong_by).astype(np.float32)
        return found

    expected = sums(sequences).astype(np.float64)
    assert agrees(sums, sequences, expected)
    assert not agrees(lambda given: sums(given, 2e-5), sequences, expected)
    assert not agrees(lambda given: sums(given, 2e-6 * (len(given) == 1)), sequences, expected)


def test_where_there_is_no_onnx_runtime_a_version_that_needs_it_is_not_available(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows, targets, _ = table(400, 1)
    model = Lstm(SIGNATURE, {"length": LENGTH, "epochs": 1, "onnx": True}).fit(rows, targets)
    ModelStore(tmp_path).save("m", "1.0.0", model, Description(summary=""))
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ModelUnavailable, match="onnxruntime"):
        ModelStore(tmp_path).load("m", "1.0.0")
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(EvenhandError, match=r"evenhand\[onnx\]"):
        Lstm(SIGNATURE, {"length": LENGTH, "epochs": 1, "onnx": True}).fit(rows, targets)
