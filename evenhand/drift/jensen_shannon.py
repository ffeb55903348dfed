"""The Jensen-Shannon distance."""

from typing import Annotated, ClassVar

from msgspec import Meta
from scipy.spatial.distance import jensenshannon

from evenhand.drift.base import Floats
from evenhand.drift.window import WindowTest, shares


class JensenShannon(WindowTest, frozen=True, kw_only=True):
    """sqrt of (KL(p, m) + KL(q, m))/2, m = (p + q)/2, over quantile bins of the reference (Lin 1991): 0 to 0.83."""

    kind: ClassVar[str] = "jensen_shannon"

    bins: Annotated[int, Meta(ge=2, le=100)] = 10

    def score(self, reference: Floats, window: Floats) -> float:
        return float(jensenshannon(*shares(reference, window, self.bins)))
