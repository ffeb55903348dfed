"""The early warning of one model over its life: learning, trusted, distrusted, and learning again."""

from collections.abc import Sequence
from typing import Literal

import msgspec
import numpy as np

from evenhand.drift.early_warning import LEAST_REFERENCE, EarlyWarned, EarlyWarning, Estimate, LossReference, calibrate
from evenhand.errors import InvalidConfiguration
from evenhand.events import SampledRow

Said = Literal["warned", "relieved", "distrusted", "trusted"]


class EstimatorRule(msgspec.Struct, frozen=True, kw_only=True):
    """Allowed false distrust, by what fraction a loss must rise, and of how many outcomes a reference is made."""

    false_alarms_per_100k: float
    margin: float
    reference_size: int


class EstimatorState(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`pairs` are (score, loss), as long as there is no reference."""

    reference: LossReference | None = None
    warned: EarlyWarned | None = None
    pairs: tuple[tuple[float, float], ...] = ()
    is_warning: bool = False
    is_distrusted: bool = False
    generation: int = 0


def take(
    rule: EstimatorRule, state: EstimatorState, predictions: Sequence[SampledRow], losses: Sequence[SampledRow]
) -> tuple[EstimatorState, Estimate | None, tuple[Said, ...]]:
    """An epoch's predictions (value, score) and losses (loss, score): what is believed, and what is new.

    The score is how wide the prediction's interval was, or else its confidence: what was known when it was made.
    It warns where the predicted loss is above the margin, until it has fallen below half of that.
    """
    pairs = tuple((row.values[1], row.values[0]) for row in _ordered(losses) if len(row.values) == 2)
    if state.reference is None or state.warned is None:
        return _learn(rule, state, pairs)
    warning = EarlyWarning(
        reference=state.reference, false_alarms_per_100k=rule.false_alarms_per_100k, margin=rule.margin
    )
    scores = [row.values[1] for row in _ordered(predictions) if len(row.values) == 2]
    warned = warning.predict(state.warned, np.array(scores))
    if pairs:
        warned = warning.mature(warned, np.array([pair[0] for pair in pairs]), np.array([pair[1] for pair in pairs]))
    estimate = warning.verdict(warned)
    if not estimate.trusted:
        gone: tuple[Said, ...] = ("relieved", "distrusted") if state.is_warning else ("distrusted",)
        return EstimatorState(is_distrusted=True, generation=state.generation + 1), estimate, gone
    rise = estimate.predicted_loss / estimate.reference_loss - 1
    is_warning = rise > (rule.margin / 2 if state.is_warning else rule.margin)
    said: tuple[Said, ...] = ()
    if is_warning != state.is_warning:
        said = ("warned",) if is_warning else ("relieved",)
    return msgspec.structs.replace(state, warned=warned, is_warning=is_warning), estimate, said


def _learn(
    rule: EstimatorRule, state: EstimatorState, pairs: tuple[tuple[float, float], ...]
) -> tuple[EstimatorState, Estimate | None, tuple[Said, ...]]:
    known = (*state.pairs, *pairs)
    if len(known) >= max(LEAST_REFERENCE, rule.reference_size):
        try:
            reference = calibrate(np.array([pair[0] for pair in known]), np.array([pair[1] for pair in known]))
        except InvalidConfiguration:  # losses that are all zero teach nothing
            known = ()
        else:
            warned = EarlyWarning(reference=reference).start()
            said: tuple[Said, ...] = ("trusted",) if state.is_distrusted else ()
            return EstimatorState(reference=reference, warned=warned, generation=state.generation), None, said
    return msgspec.structs.replace(state, pairs=known), None, ()


def _ordered(rows: Sequence[SampledRow]) -> list[SampledRow]:
    return sorted(rows, key=lambda row: (row.time, row.hash))
