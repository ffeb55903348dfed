"""Confidence that means what it says: the probability that the direction is right, learned from matured outcomes.

Isotonic regression (Ayer et al. 1955) of hits on the score |value| / volatility, over bins of equal counts so that few
outcomes cannot make a step of their own. Prequential (Dawid 1984): each forecast is rated by what was known before it.
"""

import bisect
import math

import msgspec
import numpy as np

from evenhand.training.examples import FloatArray

BINS = 10
PRIOR = 20.0  # outcomes of a coin that each bin is mixed with
EARLY = 500
EVERY = 25
FORGETTING = 20_000


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


class CalibratorState(msgspec.Struct):
    """All that is known of one step: outcomes by bins of the score, and what followed from them when last fitted.

    `early`: pairs of score and hit until there are enough to say where bins lie. A bin holds up to and with its edge;
    the last one has none.
    """

    early: list[tuple[float, float]] = []
    edges: list[float] = []
    counts: list[float] = []
    hits: list[float] = []
    taken: int = 0
    fitted: Calibration = Calibration()


class Calibrator:
    """Confidence that is learned one matured outcome at a time. Fitted anew every 25 outcomes; O(bins) then."""

    def __init__(self, state: CalibratorState | None = None) -> None:
        """Start with the confidence of a coin, or go on from a state."""
        self.state = state or CalibratorState()

    def confidence(self, score: float) -> float:
        """Probability that a forecast of this score, |value| / volatility, has the right direction."""
        return self.state.fitted.probability(score)

    def mature(self, score: float, hit: float) -> None:
        """Take an outcome: whether (1, 0, or 0.5 for no direction) a forecast of this score was right."""
        state = self.state
        state.taken += 1
        if state.edges:
            place = bisect.bisect_left(state.edges, score)
            state.counts[place] += 1.0
            state.hits[place] += hit
            if sum(state.counts) > FORGETTING:  # the last outcomes count most
                state.counts = [count / 2 for count in state.counts]
                state.hits = [one / 2 for one in state.hits]
        else:
            state.early.append((score, hit))
            if len(state.early) == EARLY:
                state.edges, state.counts, state.hits = _binned(state.early)
                state.early = []
        if state.taken % EVERY == 0:
            state.fitted = isotonic(*(_binned(state.early) if state.early else (state.edges, state.counts, state.hits)))


def _binned(pairs: list[tuple[float, float]]) -> tuple[list[float], list[float], list[float]]:
    """Bins of equal counts: their edges, how many outcomes each holds, and how many of those were right."""
    scores = sorted(score for score, _ in pairs)
    edges = sorted({scores[len(scores) * part // BINS - 1] for part in range(1, BINS)})
    counts, hits = [0.0] * (len(edges) + 1), [0.0] * (len(edges) + 1)
    for score, hit in pairs:
        place = bisect.bisect_left(edges, score)
        counts[place] += 1.0
        hits[place] += hit
    return edges, counts, hits


def isotonic(edges: list[float], counts: list[float], hits: list[float]) -> Calibration:
    """Rising levels by pooling adjacent violators; each bin is mixed with `PRIOR` outcomes of a coin."""
    levels: list[tuple[float, float, int]] = []  # mean, weight, bins
    for count, hit in zip(counts, hits, strict=True):
        mean, weight, bins = (hit + PRIOR / 2) / (count + PRIOR), count + PRIOR, 1
        while levels and levels[-1][0] >= mean:
            before, much, many = levels.pop()
            mean = (before * much + mean * weight) / (much + weight)
            weight, bins = weight + much, bins + many
        levels.append((mean, weight, bins))
    ends, place = [], 0
    for _, _, bins in levels[:-1]:
        place += bins
        ends.append(edges[place - 1])
    return Calibration(tuple(ends), tuple(min(1.0, max(0.0, mean)) for mean, _, _ in levels))


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
