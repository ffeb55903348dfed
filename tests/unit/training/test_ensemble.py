"""Ensembles are near the best expert, and never far behind the random walk."""

import math

import msgspec
import numpy as np
import pytest

from evenhand.training.ensemble import (
    Boa,
    BoaSettings,
    BoaState,
    equal,
    inverse_loss,
    mix,
    regret_bound,
    stacking,
    with_random_walk,
)
from evenhand.training.examples import FloatArray


def experts(seed: int, count: int = 8000) -> tuple[FloatArray, FloatArray]:
    """Outcomes with a weak signal; a good expert, a noisy one, one that is wrong, and the random walk."""
    random = np.random.default_rng(seed)
    signal = random.normal(size=count)
    outcomes = 0.3 * signal + random.normal(size=count)
    made = np.column_stack([0.3 * signal, 0.3 * signal + random.normal(size=count) * 0.5, -0.6 * signal])
    return with_random_walk(made), outcomes


def losses(values: FloatArray, outcomes: FloatArray) -> FloatArray:
    return (values - outcomes) ** 2


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("delay", [1, 7, 24])
def test_boa_is_near_the_best_expert_and_within_its_bound(seed: int, delay: int) -> None:
    forecasts, outcomes = experts(seed)
    mixed = mix(forecasts, outcomes, delay)
    each = ((forecasts - outcomes[:, None]) ** 2).sum(axis=0)
    regret = losses(mixed.values, outcomes).sum() - each.min()
    spread = float(np.ptp((forecasts - outcomes[:, None]) ** 2, axis=1).mean())
    assert regret <= regret_bound(len(outcomes), 4, spread, delay)
    assert losses(mixed.values, outcomes).sum() <= each.min() * 1.01
    assert mixed.weights.sum(axis=1) == pytest.approx(1.0)
    assert (mixed.weights >= 0).all()


@pytest.mark.parametrize("seed", range(5))
def test_boa_does_no_worse_than_hedge(seed: int) -> None:
    """Plain Hedge (exponential weights at the rate that its bound asks for) as the oracle."""
    forecasts, outcomes = experts(seed)
    loss = (forecasts - outcomes[:, None]) ** 2 / outcomes.var() / 20
    rate = math.sqrt(8 * math.log(4) / len(outcomes))
    logs = -rate * np.vstack([np.zeros(4), np.cumsum(loss, axis=0)[:-1]])
    weights = np.exp(logs - logs.max(axis=1, keepdims=True))
    hedge = (weights / weights.sum(axis=1, keepdims=True) * forecasts).sum(axis=1)
    assert losses(mix(forecasts, outcomes, 1).values, outcomes).mean() <= losses(hedge, outcomes).mean() * 1.01


def test_among_useless_experts_it_ends_as_a_random_walk() -> None:
    random = np.random.default_rng(9)
    outcomes = random.normal(size=20_000)
    forecasts = with_random_walk(random.normal(size=(20_000, 3)) * 0.5)
    mixed = mix(forecasts, outcomes, 24)
    assert losses(mixed.values, outcomes).mean() <= (outcomes**2).mean() * 1.002
    assert mixed.weights[-1, -1] > 0.6


def test_fixed_share_follows_when_the_best_expert_changes() -> None:
    random = np.random.default_rng(10)
    signal = random.normal(size=8000)
    outcomes = signal * 0.5 + random.normal(size=8000)
    first = np.arange(8000) < 4000
    forecasts = np.column_stack([np.where(first, 0.5, -0.5) * signal, np.where(first, -0.5, 0.5) * signal])
    shared = mix(forecasts, outcomes, 1, BoaSettings(share=0.001))
    stuck = mix(forecasts, outcomes, 1, BoaSettings(share=0.0))
    late = slice(4200, 6000)
    best = losses(forecasts[late, 1], outcomes[late]).mean()
    assert losses(shared.values[late], outcomes[late]).mean() < best * 1.03
    assert losses(shared.values[late], outcomes[late]).mean() < losses(stuck.values[late], outcomes[late]).mean()


def test_weights_know_only_outcomes_that_have_matured() -> None:
    forecasts, outcomes = experts(1, 500)
    before = mix(forecasts, outcomes, 10).weights
    outcomes[300:] *= -5
    after = mix(forecasts, outcomes, 10).weights
    assert (before[:310] == after[:310]).all()
    assert (before[310:] != after[310:]).any()


def test_it_goes_on_from_its_state_as_if_nothing_had_been() -> None:
    forecasts, outcomes = experts(2, 400)
    whole, parted = Boa(4), Boa(4)
    for place in range(400):
        if place == 200:
            parted = Boa(4, state=msgspec.json.decode(msgspec.json.encode(parted.state), type=BoaState))
        for boa in (whole, parted):
            boa.learn(boa.weights, forecasts[place], float(outcomes[place]))
    assert whole.weights.tolist() == parted.weights.tolist()


def test_the_scale_of_the_outcomes_does_not_matter() -> None:
    forecasts, outcomes = experts(3, 2000)
    plain, small = mix(forecasts, outcomes, 7).weights, mix(forecasts * 1e-4, outcomes * 1e-4, 7).weights
    np.testing.assert_allclose(plain, small, rtol=1e-6)
    still = mix(np.zeros((50, 2)), np.zeros(50), 1)  # nothing ever moves
    assert still.weights[-1].tolist() == [0.5, 0.5]


def test_fixed_weights() -> None:
    forecasts, outcomes = experts(4)
    assert equal(forecasts, outcomes).tolist() == [0.25] * 4
    inverse = inverse_loss(forecasts, outcomes)
    assert inverse.sum() == pytest.approx(1.0)
    assert inverse.argmax() == 0
    stacked = stacking(forecasts, outcomes)
    random = np.random.default_rng(0)
    tried = np.vstack([np.eye(4), stacked * 0.97 + random.dirichlet(np.ones(4), size=2000) * 0.03])
    best = min(losses(forecasts @ weights, outcomes).mean() for weights in tried)
    assert losses(forecasts @ stacked, outcomes).mean() <= best * (1 + 1e-9)
    outcomes[5] = np.nan
    assert np.isfinite(stacking(forecasts, outcomes)).all()
    assert stacking(forecasts, np.zeros(len(forecasts))).tolist() == [0.25] * 4


def test_a_first_outcome_of_next_to_nothing_does_not_stop_it_from_learning() -> None:
    forecasts, outcomes = experts(5, 2000)
    outcomes[0] = 1e-9
    assert mix(forecasts, outcomes, 1).weights[-1, 0] > 0.5
