"""How often outcomes lay within their intervals, month by month and year by year: a mean may hide both."""

import msgspec
import numpy as np

from evenhand.training.examples import FloatArray, IntArray
from evenhand.training.scores import Answers

MONTH_MS = 30 * 86_400_000
YEAR_MS = 365 * 86_400_000


class Coverage(msgspec.Struct, frozen=True):
    """The least and the greatest share within a whole period, or None where the history is shorter than one."""

    months: tuple[float, float] | None = None
    years: tuple[float, float] | None = None


def coverage_by_time(made_at: IntArray, answers: Answers, outcomes: FloatArray) -> Coverage:
    """Shares of outcomes within the bounds by whole periods of 30 and of 365 days from the first forecast."""
    if answers.low is None or answers.high is None:
        return Coverage()
    known = np.isfinite(outcomes)
    held = ((outcomes >= answers.low) & (outcomes <= answers.high))[known]
    return Coverage(_extremes(made_at[known], held, MONTH_MS), _extremes(made_at[known], held, YEAR_MS))


def _extremes(made_at: IntArray, held: np.typing.NDArray[np.bool_], period_ms: int) -> tuple[float, float] | None:
    whole = int(made_at[-1] - made_at[0]) // period_ms if len(made_at) else 0
    period = (made_at - made_at[0]) // period_ms if len(made_at) else made_at
    shares = [float(held[period == one].mean()) for one in range(whole) if (period == one).any()]
    return (min(shares), max(shares)) if shares else None
