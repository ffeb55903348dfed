"""The population stability index."""

from typing import Annotated, ClassVar

import numpy as np
from msgspec import Meta

from evenhand.drift.base import Floats
from evenhand.drift.window import WindowTest, shares


class Psi(WindowTest, frozen=True, kw_only=True):
    """PSI = sum (q - p) ln(q/p) over quantile bins of the reference (Siddiqi 2006); 0.1 is called moderate.

    Without drift its mean is about (bins - 1)(1/window + 1/reference): 0.01 at the default sizes.
    """

    kind: ClassVar[str] = "psi"

    bins: Annotated[int, Meta(ge=2, le=100)] = 10

    def score(self, reference: Floats, window: Floats) -> float:
        p, q = shares(reference, window, self.bins)
        return float(((q - p) * np.log(q / p)).sum())
