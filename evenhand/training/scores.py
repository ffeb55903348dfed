"""How good forecasts are, in numbers that claim no more than the data say, and the verdict: skill, or none."""

import math
from collections.abc import Mapping
from typing import Annotated, Literal

import msgspec
import numpy as np
from msgspec import Meta

from evenhand.errors import InvalidConfiguration
from evenhand.training.batch_means import Estimate, estimate
from evenhand.training.calibration import calibration_error, direction_hits
from evenhand.training.examples import FloatArray

Verdict = Literal["skill", "no skill"]


class ScoreSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`level` of all intervals; `trials`: how many models were tried on these rows; `cost_fraction` of a round trip."""

    level: Annotated[float, Meta(gt=0.0, lt=1.0)] = 0.95
    trials: Annotated[int, Meta(ge=1)] = 1
    cost_fraction: Annotated[float, Meta(ge=0.0)] = 0.001


class Comparison(msgspec.Struct, frozen=True):
    """How much less a model's squared error is than a baseline's, as a fraction of the baseline's, with an interval."""

    baseline: str
    improvement: Estimate
    better: bool


class Scores(msgspec.Struct, frozen=True):
    """One model at one step. Errors in the unit of the target; probabilities and coverage as fractions.

    mase is the mean absolute error over that of the random walk. directed is the share of forecasts that say a
    direction; direction_accuracy and calibration_error speak of those. profit is of following the direction, after
    cost.
    """

    step: int
    count: int
    rmse: float
    squared_error: Estimate
    mae: float
    mase: float
    directed: float
    direction_accuracy: Estimate
    profit: Estimate
    coverage_90: float | None
    pinball: float | None
    calibration_error: float | None
    comparisons: tuple[Comparison, ...]
    verdict: Verdict


class Answers(msgspec.Struct, frozen=True):
    """What a model said for one step, in order of time, (n,) each; bounds are those of 90 %."""

    values: FloatArray
    low: FloatArray | None = None
    high: FloatArray | None = None
    confidence: FloatArray | None = None


def compare(
    values: FloatArray, baseline: FloatArray, outcomes: FloatArray, step: int, name: str, level: float = 0.95
) -> Comparison:
    """Compare squared errors pair by pair, with an interval over batch means of 4 x step (as Diebold and Mariano 1995).

    A model that says what the baseline says is not better.
    """
    known = np.isfinite(outcomes)
    errors = (baseline[known] - outcomes[known]) ** 2
    worth = float(errors.mean()) if len(errors) else math.nan
    gained = estimate(errors - (values[known] - outcomes[known]) ** 2, step, level)
    scale = 1.0 / worth if worth > 0 else 1.0
    improvement = Estimate(
        gained.mean * scale, gained.low * scale, gained.high * scale, gained.batches, gained.effective_count
    )
    return Comparison(name, improvement, improvement.positive)


def score(
    answers: Answers,
    baselines: Mapping[str, FloatArray],
    outcomes: FloatArray,
    step: int,
    settings: ScoreSettings | None = None,
) -> Scores:
    """Score the forecasts of one step against outcomes (n,), NaN where not known, and every baseline.

    The verdict is "skill" only if the interval of the gain lies above zero for each baseline, at a level that is
    corrected for the number of trials and of baselines (Bonferroni). Otherwise it is "no skill".
    """
    settings = settings or ScoreSettings()
    known = np.isfinite(outcomes)
    if not known.any():
        raise InvalidConfiguration("no outcome is known: there is nothing to score")
    values, truth = answers.values[known], outcomes[known]
    errors = abs(values - truth)
    still = float(abs(truth).mean())
    hits = direction_hits(values, truth)
    moved = (values != 0) & (truth != 0)
    strict = 1 - (1 - settings.level) / (settings.trials * max(1, len(baselines)))
    comparisons = tuple(
        compare(answers.values, baseline, outcomes, step, name, strict) for name, baseline in baselines.items()
    )
    turned = np.abs(np.diff(np.sign(values), prepend=0.0))
    return Scores(
        step=step,
        count=int(known.sum()),
        rmse=math.sqrt(float((errors**2).mean())),
        squared_error=estimate(errors**2, step, settings.level),
        mae=float(errors.mean()),
        mase=float(errors.mean()) / still if still > 0 else math.nan,
        directed=float(moved.mean()),
        direction_accuracy=estimate(hits[moved], step, settings.level) if moved.any() else _coin(),
        profit=estimate(np.sign(values) * truth - turned * settings.cost_fraction / 2, step, settings.level),
        coverage_90=None if answers.low is None or answers.high is None else coverage(answers, outcomes),
        pinball=None if answers.low is None or answers.high is None else _pinball(answers, outcomes),
        calibration_error=None if answers.confidence is None else _calibration(answers.confidence[known], hits, moved),
        comparisons=comparisons,
        verdict="skill" if comparisons and all(each.better for each in comparisons) else "no skill",
    )


def _coin() -> Estimate:
    """Direction accuracy of a model that never says a direction."""
    return Estimate(0.5, 0.5, 0.5, 0, 0.0)


def _calibration(confidence: FloatArray, hits: FloatArray, moved: FloatArray) -> float | None:
    return calibration_error(confidence[moved], hits[moved]) if moved.any() else None


def coverage(answers: Answers, outcomes: FloatArray) -> float:
    """Share of known outcomes within the bounds."""
    if answers.low is None or answers.high is None:
        raise InvalidConfiguration("these answers have no intervals")
    known = np.isfinite(outcomes)
    return float(((outcomes >= answers.low) & (outcomes <= answers.high))[known].mean())


def pinball(bound: FloatArray, outcomes: FloatArray, quantile: float) -> float:
    """Mean of max(q (y - b), (q - 1) (y - b)): least for the true quantile (Koenker and Bassett 1978)."""
    known = np.isfinite(outcomes) & np.isfinite(bound)
    over = outcomes[known] - bound[known]
    return float(np.maximum(quantile * over, (quantile - 1.0) * over).mean())


def _pinball(answers: Answers, outcomes: FloatArray) -> float | None:
    """Mean of both bounds, over the forecasts whose interval was finite."""
    if answers.low is None or answers.high is None or not np.isfinite(answers.low).any():
        return None
    return (pinball(answers.low, outcomes, 0.05) + pinball(answers.high, outcomes, 0.95)) / 2
