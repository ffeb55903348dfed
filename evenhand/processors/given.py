"""Answers that their users bring along: served models whose names begin with `given@`, of which only the split is ours.

A request brings the answer of whatever version its user has asked, and how long that took. So a trial of models that
run elsewhere is a function of the log, too, and replays.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

PREFIX = "given@"
PREDICTION, RESPONSE_TIME = "prediction", "response_time_ms"


class Given:
    """A version that answers what it is told. A step is an hour: the outcome names its request."""

    features: ClassVar[tuple[str, ...]] = (PREDICTION,)
    horizon_s, aligned, reference_price = 3600, False, None

    def predict(self, rows: NDArray[np.float64], horizon: int) -> Any:
        """Every step of a row is its feature."""
        from evenhand.processors.inference import Answer  # noqa: PLC0415 - which reads this

        return Answer([[float(x)] * horizon for x in rows[:, 0]], [[0.5] * horizon for _ in rows])


GIVEN = Given()


def is_given(model: str) -> bool:
    """Whether the answers to requests of this model stand in them."""
    return model.startswith(PREFIX)


def response_time_of(features: "list[float] | Mapping[str, float]") -> float | None:
    """How long the answer took that a request brings, if it says so.

    >>> response_time_of({"prediction": 1.0, "response_time_ms": 12.5})
    12.5
    """
    return features.get(RESPONSE_TIME) if isinstance(features, Mapping) else None
