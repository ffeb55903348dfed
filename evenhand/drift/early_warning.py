"""Performance before outcomes arrive: predicted loss, scored against the truth when it comes, distrusted when wrong.

After NannyML's DLE and CBPE: a loss is predicted from a score that is known when the prediction is made (a confidence,
a predicted volatility). That sees a loss that rises because inputs moved to where the model is worse. It is blind to
concept drift: there the inputs stay and the losses rise. So each matured loss is compared with what was predicted.
"""

from typing import Annotated

import msgspec
import numpy as np
from msgspec import Meta

from evenhand.drift.base import Floats, Ints, numbers
from evenhand.drift.book import Book, fixed
from evenhand.drift.evidence import Evidence
from evenhand.drift.wealth import Ledger, Wealth
from evenhand.errors import InvalidConfiguration

_CAP = 8.0  # of loss / predicted loss: a bet needs a bound
_STAKES = (0.05, 0.15, 0.4, 0.9)  # of the most that a bet may stake
LEAST_REFERENCE = 500


class LossReference(msgspec.Struct, frozen=True, kw_only=True):
    """Mean loss by quantile bin of the score, as on the calibration sample, and the mean of the capped ratio there."""

    n: int
    edges: tuple[float, ...]
    losses: tuple[float, ...]
    mean_loss: float
    ratio: float
    ratio_error: float

    def predict(self, scores: Floats) -> Floats:
        """The loss that is expected of each prediction, by its score; shape (n,)."""
        return np.asarray(np.array(self.losses)[np.searchsorted(self.edges, scores)], np.float64)


class EarlyWarned(msgspec.Struct, frozen=True, kw_only=True):
    """The state: exponentially weighted mean of the predicted loss, and what bets against the estimator have won."""

    predicted: int = 0
    matured: int = 0
    estimate: float
    actual: float
    wealth: Wealth


class Estimate(msgspec.Struct, frozen=True, kw_only=True):
    """`warning`: the predicted loss exceeds the reference's by the margin, and the estimator has not been wrong.

    `distrusted_at` is the number of matured outcomes at which it was found to be wrong.
    """

    predicted_loss: float
    actual_loss: float
    reference_loss: float
    trusted: bool
    warning: bool
    distrusted_at: int | None = None


class EarlyWarning(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Parameters. `window` is the time constant of the running means, in events; `margin` a fraction of the loss.

    Distrust: for y = min(loss/predicted, 8)/8 and its reference mean m, bets 1 +- a (y - m -+ e) in both directions,
    where e is two standard errors of m: an e-detector as in wealth.py, with its own allowance of false alarms.
    It holds for any inputs, as long as the loss at a given score is what it was.
    """

    reference: LossReference
    false_alarms_per_100k: Annotated[float, Meta(gt=0)] = 1.0
    margin: Annotated[float, Meta(gt=0)] = 0.1
    window: Annotated[int, Meta(ge=1)] = 500

    def start(self) -> EarlyWarned:
        """Before the first prediction."""
        mean = self.reference.mean_loss
        return EarlyWarned(estimate=mean, actual=mean, wealth=self._ledger().start())

    def predict(self, state: EarlyWarned, scores: Floats) -> EarlyWarned:
        """After predictions whose outcomes are not known."""
        losses = self.reference.predict(numbers(scores))
        estimate = _faded(state.estimate, losses, self.window)
        return msgspec.structs.replace(state, predicted=state.predicted + len(losses), estimate=estimate)

    def mature(self, state: EarlyWarned, scores: Floats, losses: Floats) -> EarlyWarned:
        """After outcomes, with the scores of their predictions, in order."""
        losses = numbers(losses)
        if len(losses) == 0:
            return state
        y = _ratios(losses, self.reference.predict(numbers(scores)))
        low, high = (self.reference.ratio + side * self.reference.ratio_error for side in (-1, 1))
        up = [np.log1p(stake / high * (y - high)) for stake in _STAKES]
        down = [np.log1p(stake / max(1e-9, 1 - low) * (low - y)) for stake in _STAKES]
        events = np.ones(len(y), np.int64)
        evidence = Evidence(
            rows=events, fed=events[:, None], logs=fixed(np.array(up + down).T),
            moments=fixed(((y - self.reference.ratio) / self.reference.ratio)[:, None]),
        )  # fmt: skip
        wealth = self._ledger().absorb(state.wealth, evidence, np.full(len(y), self.false_alarms_per_100k / 1e5))
        return msgspec.structs.replace(
            state, matured=state.matured + len(y), actual=_faded(state.actual, losses, self.window), wealth=wealth
        )

    def verdict(self, state: EarlyWarned) -> Estimate:
        """What is to be believed."""
        trusted = state.wealth.alarm_at is None
        return Estimate(
            predicted_loss=state.estimate,
            actual_loss=state.actual,
            reference_loss=self.reference.mean_loss,
            trusted=trusted,
            warning=trusted and state.estimate > (1 + self.margin) * self.reference.mean_loss,
            distrusted_at=state.wealth.alarm_at,
        )

    def _ledger(self) -> Ledger:
        nothing: Ints = np.zeros((1, 2 * len(_STAKES)), np.int64)
        owners = np.zeros(2 * len(_STAKES), np.int64)
        book = Book(logs=nothing, scores=nothing[:, :1], owners=owners, causes=("loss beyond what was predicted",))
        return Ledger(("",), (book,), (1,))


def calibrate(scores: Floats, losses: Floats, bins: int = 20) -> LossReference:
    """A reference from predictions with outcomes that the model was not trained on. Losses are zero or more."""
    scores, losses = numbers(scores), numbers(losses)
    if len(losses) < LEAST_REFERENCE or losses.min() < 0 or losses.mean() == 0:
        raise InvalidConfiguration(
            f"an early warning wants at least {LEAST_REFERENCE} losses >= 0, not all zero: {len(losses)} given"
        )
    edges = np.unique(np.quantile(scores, np.arange(1, bins) / bins))
    place = np.searchsorted(edges, scores)
    count = np.bincount(place, minlength=len(edges) + 1)
    mean = float(losses.mean())
    means = (np.bincount(place, losses, len(edges) + 1) + mean) / (count + 1)  # one event more, of mean loss
    y = _ratios(losses, means[place])
    return LossReference(
        n=len(losses), edges=tuple(edges.tolist()), losses=tuple(means.tolist()), mean_loss=mean,
        ratio=float(y.mean()), ratio_error=float(2 * y.std() / np.sqrt(len(y))),
    )  # fmt: skip


def _ratios(losses: Floats, predicted: Floats) -> Floats:
    return np.asarray(np.minimum(losses / np.maximum(predicted, 1e-300), _CAP) / _CAP, np.float64)


def _faded(mean: float, values: Floats, window: int) -> float:
    keep = 1 - 1 / window
    for value in values.tolist():
        mean = keep * mean + (1 - keep) * value
    return mean
