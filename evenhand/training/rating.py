"""What a forecast is worth when it is made: its 90 % interval and the confidence in its direction.

Both are learned from matured outcomes of one step, one at a time, and both look at errors relative to the volatility
that was known when the forecast was made.
"""

import math

import msgspec
import numpy as np

from evenhand.training.calibration import Calibrator, CalibratorState
from evenhand.training.conformal import AdaptiveInterval, ConformalState, Issued
from evenhand.training.examples import FloatArray
from evenhand.training.scores import Answers

_LEAST = np.finfo(np.float64).tiny


class RatingState(msgspec.Struct):
    """All that a rating knows, to be written as JSON and restored."""

    conformal: ConformalState
    calibration: CalibratorState


class Rating:
    """Intervals and confidence of one step."""

    def __init__(self, state: RatingState | None = None) -> None:
        """Start as one who knows nothing, or go on from a state."""
        self.interval = AdaptiveInterval(state=state.conformal if state else None)
        self.calibrator = Calibrator(state.calibration if state else None)

    @property
    def state(self) -> RatingState:
        """What to keep."""
        return RatingState(self.interval.state, self.calibrator.state)

    def mature(self, issued: Issued, outcome: float) -> None:
        """Take the outcome of a forecast. O(log window)."""
        if issued.value != 0:
            hit = 0.5 + 0.5 * math.copysign(1.0, issued.value) * ((outcome > 0) - (outcome < 0))
            self.calibrator.mature(abs(issued.value) / issued.volatility, hit)
        self.interval.mature(issued, outcome)

    def confidence(self, issued: Issued) -> float:
        """Probability that the direction of a forecast is right; that of a coin where it says none."""
        return self.calibrator.confidence(abs(issued.value) / issued.volatility) if issued.value else 0.5


def rate(
    values: FloatArray,
    outcomes: FloatArray,
    delay: int,
    volatility: FloatArray | None = None,
    rating: Rating | None = None,
) -> Answers:
    """Give the forecasts of one step, in order of time, the intervals and the confidence that were due then.

    Outcome i is known before forecast i + delay. `volatility` is what was known of it at each forecast; without it,
    that of past errors is taken. `rating` is where it goes on from, and where what was learned is left.
    """
    rating = rating or Rating()
    spread = [None] * len(values) if volatility is None else np.maximum(volatility, _LEAST).tolist()
    truth = outcomes.tolist()
    issued: list[Issued] = []
    confidence = np.empty(len(values))
    for place, value in enumerate(values.tolist()):
        if place >= delay and math.isfinite(truth[place - delay]):
            rating.mature(issued[place - delay], truth[place - delay])
        one = rating.interval.issue(value, spread[place])
        issued.append(one)
        confidence[place] = rating.confidence(one)
    for place in range(max(0, len(values) - delay), len(values)):  # what matures after the last forecast
        if math.isfinite(truth[place]):
            rating.mature(issued[place], truth[place])
    reach = np.array([each.reach for each in issued])
    return Answers(values, values - reach, values + reach, confidence)
