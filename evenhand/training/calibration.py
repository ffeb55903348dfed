"""Confidence that means what it says: the probability that the direction is right, learned from matured outcomes.

Isotonic regression (Ayer et al. 1955) of hits on the score |value| / volatility, over bins of equal counts so that few
outcomes cannot make a step of their own. Prequential (Dawid 1984): each forecast is rated by what was known before it.
"""

import bisect
import math
from typing import Annotated

import msgspec
import numpy as np
from msgspec import Meta

from evenhand.training.examples import FloatArray

BINS = 20


class Calibration(msgspec.Struct, frozen=True):
    """A rising step function from score to probability: `probabilities[i]` holds up to and with `edges[i]`."""

    edges: tuple[float, ...] = ()
    probabilities: tuple[float, ...] = (0.5,)

    def probability(self, score: float) -> float:
        """Probability that a forecast with this score has the right direction. O(log bins)."""
        return self.probabilities[bisect.bisect_left(self.edges, score)]

    def probabilities_of(self, scores: FloatArray) -> FloatArray:
        """Do the same for many, shape (n,)."""
        found: FloatArray = np.array(self.probabilities)[np.searchsorted(np.array(self.edges), scores, side="left")]
        return found


def calibrate(scores: FloatArray, hits: FloatArray, prior: float = 50.0) -> Calibration:
    """Fit to scores and hits (1, 0, or 0.5 for no direction), both (n,).

    `prior` is how many outcomes of a coin each bin is mixed with: no confidence without evidence. O(n log n).
    """
    if not len(scores):
        return Calibration()
    from scipy.optimize import isotonic_regression  # noqa: PLC0415  half a second that only fitting should pay

    order = np.argsort(scores, kind="stable")
    parts = [part for part in np.array_split(order, BINS) if len(part)]
    counts = np.array([len(part) for part in parts], dtype=np.float64)
    means = np.array([hits[part].sum() for part in parts]) + prior * 0.5
    fitted = isotonic_regression(means / (counts + prior), weights=counts + prior).x
    edges = [float(scores[part[-1]]) for part in parts]
    # Bins that touch at the same score are one.
    keep = [place for place, edge in enumerate(edges) if place + 1 == len(edges) or edge < edges[place + 1]]
    levels = [float(np.clip(fitted[place], 0.0, 1.0)) for place in keep]
    return Calibration(tuple(edges[place] for place in keep[:-1]), tuple(levels))


class PrequentialSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How many outcomes count, and after how many new ones it is fitted anew."""

    window: Annotated[int, Meta(ge=BINS)] = 10_000
    every: Annotated[int, Meta(ge=1)] = 250


def confidences(
    values: FloatArray,
    outcomes: FloatArray,
    volatility: FloatArray,
    delay: int,
    settings: PrequentialSettings | None = None,
) -> FloatArray:
    """Confidence in each forecast of one step in order of time, (n,); outcome i is known before forecast i + delay.

    `volatility` is that of past errors when the forecast was made.
    """
    settings = settings or PrequentialSettings()
    scores = abs(values) / np.where(volatility > 0, volatility, 1.0)
    hits = direction_hits(values, outcomes)
    known = np.isfinite(outcomes)
    answers = np.full(len(values), 0.5)
    for start in range(0, len(values), settings.every):
        seen = slice(max(0, start - delay + 1 - settings.window), max(0, start - delay + 1))
        fitted = calibrate(scores[seen][known[seen]], hits[seen][known[seen]])
        stop = start + settings.every
        answers[start:stop] = fitted.probabilities_of(scores[start:stop])
    answers[values == 0] = 0.5
    return answers


def direction_hits(values: FloatArray, outcomes: FloatArray) -> FloatArray:
    """1 where the direction was right, 0 where wrong, 0.5 where one of both has none, NaN where there is no outcome."""
    hits: FloatArray = 0.5 + 0.5 * np.sign(values) * np.sign(outcomes)
    return hits


def calibration_error(confidence: FloatArray, hits: FloatArray, bins: int = 10) -> float:
    """Expected calibration error over bins of equal counts: mean |hits - confidence| of bins (Naeini et al. 2015)."""
    known = np.isfinite(hits) & np.isfinite(confidence)
    if not known.any():
        return math.nan
    order = np.argsort(confidence[known], kind="stable")
    rated, hit = confidence[known][order], hits[known][order]
    parts = [part for part in np.array_split(np.arange(len(rated)), bins) if len(part)]
    return float(sum(abs(hit[part].mean() - rated[part].mean()) * len(part) for part in parts) / len(rated))
