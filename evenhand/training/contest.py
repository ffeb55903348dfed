"""All models on the same walk, step by step: forecasts, intervals, confidence, ensembles, and the verdict on each."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec
import numpy as np

from evenhand.errors import InvalidConfiguration
from evenhand.training.coverage import Coverage, coverage_by_time
from evenhand.training.ensemble import (
    by_fold,
    equal,
    inverse_loss,
    mix,
    regret_bound,
    stacking,
    with_random_walk,
)
from evenhand.training.examples import Examples, FloatArray, IntArray
from evenhand.training.rating import rate
from evenhand.training.scores import Answers, Scores, ScoreSettings, score
from evenhand.training.walk_forward import Walk

ENSEMBLE = "ensemble"
FIXED = {"equal_ensemble": equal, "inverse_loss_ensemble": inverse_loss, "stacking_ensemble": stacking}
RANDOM_WALK = "naive"


class Place(NamedTuple):
    """One model at one step: what it said, and what that was worth."""

    model: str
    answers: Answers
    scores: Scores
    coverage: Coverage


class Regret(msgspec.Struct, frozen=True):
    """Sum of squared errors of the ensemble at a step over that of its best expert, and the bound on it."""

    step: int
    regret: float
    bound: float
    best: str
    loss_ratio: float


class Contest(NamedTuple):
    """What all models said, and how far the ensemble stayed behind the best of them."""

    places: list[Place]
    regrets: list[Regret]


def contest(
    examples: Examples,
    walks: Mapping[str, Walk],
    baselines: Sequence[str],
    steps: Sequence[int],
    settings: ScoreSettings | None = None,
    volatility: FloatArray | None = None,
) -> Contest:
    """Score every model and four ensembles of all of them at the given steps (from 1), on one series.

    The random walk is a baseline and an expert whether or not it was given. Whatever is learned here (intervals,
    confidence, weights) is learned from outcomes that had matured when the forecast was made. `volatility` (examples,)
    is what was known of it with each row, by all who have no `spread` of their own.
    """
    rows, folds = _rows(walks)
    missing = [name for name in baselines if name not in walks and name != RANDOM_WALK]
    if missing:
        raise InvalidConfiguration(f"the baselines {', '.join(missing)} have no forecasts: train them, too")
    places: list[Place] = []
    regrets: list[Regret] = []
    made_at, spread = examples.made_at[rows], None if volatility is None else volatility[rows]
    for step in steps:
        outcomes = examples.targets[rows, step - 1]
        delay = _delay(made_at, examples.known_at[rows, step - 1])
        said = {name: walk.values[:, step - 1] for name, walk in walks.items() if name != RANDOM_WALK}
        names = [*said, RANDOM_WALK]
        experts = with_random_walk(np.column_stack([np.empty((len(rows), 0)), *said.values()]))
        mixed = mix(experts, outcomes, delay).values
        regrets.append(_regret(step, names, experts, mixed, outcomes, delay))
        said |= {RANDOM_WALK: np.zeros(len(rows)), ENSEMBLE: mixed}
        said |= {name: by_fold(rule, experts, outcomes, folds, delay) for name, rule in FIXED.items()}
        against = {name: said[name] for name in {*baselines, RANDOM_WALK}}
        for name, values in said.items():
            own = walks[name].spread if name in walks else None
            answers = rate(values, outcomes, delay, spread if own is None else own[:, step - 1])
            others = {other: forecast for other, forecast in sorted(against.items()) if other != name}
            scores = score(answers, others, outcomes, step, settings)
            places.append(Place(name, answers, scores, coverage_by_time(made_at, answers, outcomes)))
    return Contest(places, regrets)


def _regret(
    step: int, names: Sequence[str], experts: FloatArray, mixed: FloatArray, outcomes: FloatArray, delay: int
) -> Regret:
    known = np.isfinite(outcomes)
    losses = (experts[known] - outcomes[known, None]) ** 2
    sums, ours = losses.sum(axis=0), float(((mixed[known] - outcomes[known]) ** 2).sum())
    best = int(sums.argmin())
    bound = regret_bound(int(known.sum()), len(names), float(np.ptp(losses, axis=1).mean()), delay)
    ratio = ours / float(sums[best]) if sums[best] > 0 else 1.0
    return Regret(step, ours - float(sums[best]), bound, names[best], ratio)


def _rows(walks: Mapping[str, Walk]) -> tuple[IntArray, IntArray]:
    if not walks:
        raise InvalidConfiguration("no model has forecast anything: name at least one")
    first = next(iter(walks.values()))
    if any(not np.array_equal(walk.rows, first.rows) for walk in walks.values()):
        raise InvalidConfiguration("the models have forecast different rows: walk all of them by one plan")
    return first.rows, first.folds


def _delay(made_at: IntArray, known_at: IntArray) -> int:
    """How many forecasts later, at most, an outcome is known."""
    return max(1, int((np.searchsorted(made_at, known_at, side="left") - np.arange(len(made_at))).max()))


def as_markdown(places: Sequence[Place]) -> str:
    """Write the table of all models, best squared error first at each step, with the verdicts."""
    lines = [
        "| step | model | RMSE | MASE | direction | coverage 90 | calibration error | gain on naive | verdict |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for place in sorted(places, key=lambda each: (each.scores.step, each.scores.rmse)):
        s = place.scores
        gain = next((each.improvement for each in s.comparisons if each.baseline == RANDOM_WALK), None)
        hits = s.direction_accuracy
        cells = [
            str(s.step),
            place.model,
            f"{s.rmse:.6g}",
            f"{s.mase:.4f}",
            f"{hits.mean:.1%} ({hits.low:.1%} to {hits.high:.1%})",
            "-" if s.coverage_90 is None else f"{s.coverage_90:.1%}",
            "-" if s.calibration_error is None else f"{s.calibration_error:.3f}",
            f"{gain.mean:+.2%} ({gain.low:+.2%} to {gain.high:+.2%})" if gain else "-",
            s.verdict,
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"
