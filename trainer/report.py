"""What came of a training run, as values and as text."""

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
import numpy as np

from evenhand.training.contest import Contest, Place, Regret, as_markdown
from evenhand.training.coverage import Coverage
from evenhand.training.scores import Scores, Verdict

Curve = list[tuple[float, float]]


class Trained(msgspec.Struct, frozen=True):
    """One model: means over all steps, the verdict over all of them, and the version that was registered."""

    rmse: float
    mae: float
    mase: float
    direction_accuracy: float
    coverage_90: float | None
    calibration_error: float | None
    verdict: Verdict
    version: str | None


class TrainingReport(msgspec.Struct, frozen=True):
    """What came of a run.

    `trials`: how many results the verdicts are corrected for. `skilled_steps`: those at which a model beat every
    baseline. `coverage`: the least and the greatest share that intervals of 90 % held in a month and in a year, over
    all steps. `regrets`: of the ensemble against its best expert. `curves`: squared error on what was learned and on
    what was held out, before the first round and after each, of what was registered. `parameters`: those that it has.
    `scores`: each model at each step, with pinball loss, profit after cost, and the comparison with every baseline.
    """

    data: str
    rows: int
    folds: int
    horizon: int
    trials: int
    models: dict[str, Trained]
    skilled_steps: dict[str, list[int]]
    coverage: dict[str, Coverage]
    regrets: list[Regret]
    curves: dict[str, Curve]
    parameters: dict[str, dict[str, Any]]
    scores: dict[str, list[Scores]]
    table: str

    @property
    def verdict(self) -> str:
        """The verdict in a line."""
        skilled = [name for name, one in self.models.items() if one.verdict == "skill"]
        return f"skill: {', '.join(skilled)}" if skilled else "no skill: none of them beats the baselines"

    def text(self) -> str:
        """The whole report in Markdown."""
        parts = [self.table]
        if self.coverage:
            parts.append(_coverage_table(self.coverage))
        if self.regrets:
            parts.append(_regret_table(self.regrets))
        if self.curves:
            parts.append(_curve_table(self.curves))
        return "\n".join([*parts, self.verdict])


def summary(places: Iterable[Place], version: str | None) -> Trained:
    """One model over all its steps."""
    scores = [place.scores for place in places]
    return Trained(
        rmse=_mean(one.rmse for one in scores) or 0.0,
        mae=_mean(one.mae for one in scores) or 0.0,
        mase=_mean(one.mase for one in scores) or 0.0,
        direction_accuracy=_mean(one.direction_accuracy.mean for one in scores) or 0.0,
        coverage_90=_mean(one.coverage_90 for one in scores),
        calibration_error=_mean(one.calibration_error for one in scores),
        verdict="skill" if any(one.verdict == "skill" for one in scores) else "no skill",
        version=version,
    )


def worst_coverage(places: Iterable[Place]) -> Coverage:
    """The extremes over all steps."""
    held = [place.coverage for place in places]
    return Coverage(_extremes([one.months for one in held]), _extremes([one.years for one in held]))


def contest_table(contest: Contest) -> str:
    """Write all models at all steps."""
    return as_markdown(contest.places)


def _extremes(found: Sequence[tuple[float, float] | None]) -> tuple[float, float] | None:
    known = [one for one in found if one is not None]
    return (min(low for low, _ in known), max(high for _, high in known)) if known else None


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def _span(span: tuple[float, float] | None) -> str:
    return "-" if span is None else f"{span[0]:.1%} to {span[1]:.1%}"


def _rows(lines: Iterable[Sequence[str]]) -> str:
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def _coverage_table(coverage: dict[str, Coverage]) -> str:
    head = "| intervals of 90 % | months | years |\n|---|---|---|\n"
    return head + _rows((name, _span(one.months), _span(one.years)) for name, one in coverage.items())


def _regret_table(regrets: Sequence[Regret]) -> str:
    head = "| step | ensemble's squared error / best expert's | best expert | regret | bound |\n|---|---|---|---|---|\n"
    return head + _rows(
        (str(one.step), f"{one.loss_ratio:.5f}", one.best, f"{one.regret:+.3g}", f"{one.bound:.3g}") for one in regrets
    )


def _curve_table(curves: dict[str, Curve]) -> str:
    head = "| learning curve | rounds | learned: first, last | held out: first, best (round) |\n|---|---|---|---|\n"
    lines = []
    for name, curve in curves.items():
        best = int(np.argmin([held for _, held in curve]))
        lines.append(
            (
                name, str(len(curve) - 1), f"{curve[0][0]:.4g}, {curve[-1][0]:.4g}",
                f"{curve[0][1]:.4g}, {curve[best][1]:.4g} ({best})",
            )
        )  # fmt: skip
    return head + _rows(lines)
