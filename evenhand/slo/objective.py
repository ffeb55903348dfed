"""An objective, and whether what was measured meets it. No data is a state of its own, and no good news."""

import operator
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

Comparison = Literal["<", "<=", ">", ">="]
State = Literal["met", "violated", "no_data"]
COMPARE = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}


class Objective(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """`metric` `comparison` `threshold` is to hold in a share `target` of all epochs, or events, of `window_days`.

    `unit` is part of the objective, so that 1 s is never compared with 1000 ms. What is counted are epochs with data,
    or with `of: events` the events of each (indicator.py says of which metrics).
    """

    name: Annotated[str, Meta(min_length=1)]
    metric: Annotated[str, Meta(min_length=1)]
    comparison: Comparison
    threshold: float
    unit: Annotated[str, Meta(min_length=1)]
    target: Annotated[float, Meta(gt=0, lt=1)] = 0.99
    window_days: Annotated[int, Meta(ge=1, le=90)] = 30
    of: Literal["epochs", "events"] = "epochs"

    @property
    def budget(self) -> float:
        """The share that may be bad."""
        return 1 - self.target

    def judge(self, value: float | None) -> State:
        """Whether a measured value meets it.

        >>> Objective(name="p95", metric="response_time_p95_ms", comparison="<", threshold=1000, unit="ms").judge(1000)
        'violated'
        """
        if value is None or value != value:  # noqa: PLR0124 - NaN alone differs from itself
            return "no_data"
        return "met" if COMPARE[self.comparison](value, self.threshold) else "violated"
