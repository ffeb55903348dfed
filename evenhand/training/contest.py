"""All models on the same walk, step by step: forecasts, intervals, confidence, ensembles, and the verdict on each."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from evenhand.errors import InvalidConfiguration
from evenhand.training.ensemble import equal, mix, with_random_walk
from evenhand.training.examples import Examples, IntArray
from evenhand.training.rating import rate
from evenhand.training.scores import Answers, Scores, ScoreSettings, score
from evenhand.training.walk_forward import Walk

ENSEMBLE = "ensemble"
EQUAL = "equal_ensemble"
RANDOM_WALK = "naive"


class Place(NamedTuple):
    """One model at one step: what it said, and what that was worth."""

    model: str
    answers: Answers
    scores: Scores


def contest(
    examples: Examples,
    walks: Mapping[str, Walk],
    baselines: Sequence[str],
    steps: Sequence[int],
    settings: ScoreSettings | None = None,
) -> list[Place]:
    """Score every model and two ensembles of all of them at the given steps (from 1), on one series.

    The random walk is a baseline and an expert whether or not it was given. Whatever is learned here (intervals,
    confidence, weights) is learned from outcomes that had matured when the forecast was made.
    """
    rows = _rows(walks)
    missing = [name for name in baselines if name not in walks and name != RANDOM_WALK]
    if missing:
        raise InvalidConfiguration(f"the baselines {', '.join(missing)} have no forecasts: train them, too")
    places: list[Place] = []
    for step in steps:
        outcomes = examples.targets[rows, step - 1]
        delay = _delay(examples.made_at[rows], examples.known_at[rows, step - 1])
        said = {name: walk.values[:, step - 1] for name, walk in walks.items() if name != RANDOM_WALK}
        experts = with_random_walk(np.column_stack([np.empty((len(rows), 0)), *said.values()]))
        said |= {
            RANDOM_WALK: np.zeros(len(rows)),
            EQUAL: experts @ equal(experts, outcomes),
            ENSEMBLE: mix(experts, outcomes, delay).values,
        }
        against = {name: said[name] for name in {*baselines, RANDOM_WALK}}
        for name, values in said.items():
            answers = rate(values, outcomes, delay)
            others = {other: forecast for other, forecast in sorted(against.items()) if other != name}
            places.append(Place(name, answers, score(answers, others, outcomes, step, settings)))
    return places


def _rows(walks: Mapping[str, Walk]) -> IntArray:
    if not walks:
        raise InvalidConfiguration("no model has forecast anything: name at least one")
    first = next(iter(walks.values())).rows
    if any(not np.array_equal(walk.rows, first) for walk in walks.values()):
        raise InvalidConfiguration("the models have forecast different rows: walk all of them by one plan")
    return first


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
