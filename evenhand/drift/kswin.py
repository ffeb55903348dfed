"""KSWIN: a Kolmogorov-Smirnov test in a sliding window."""

from typing import Annotated, Any, ClassVar

import numpy as np
from msgspec import Meta
from river import drift

from evenhand.drift.base import Takes
from evenhand.drift.river import RiverDetector


class Kswin(RiverDetector, frozen=True, kw_only=True):
    """The last `stat_size` events against as many drawn from those before (Raab, Heusinger & Schleif 2020).

    `alpha` is of one test, and there is one at each event: 0.005 gives 142 false alarms in 100,000. What is drawn is a
    function of `seed` and of the event's number, so that the state holds no generator.
    """

    kind: ClassVar[str] = "kswin"
    takes: ClassVar[Takes] = "numbers"
    cause: ClassVar[str] = "distribution"

    alpha: Annotated[float, Meta(gt=0, lt=1)] = 0.005
    window_size: Annotated[int, Meta(ge=1)] = 100
    stat_size: Annotated[int, Meta(ge=1)] = 30
    seed: int = 0

    def build(self) -> Any:
        core: Any = drift.KSWIN(
            alpha=self.alpha, window_size=self.window_size, stat_size=self.stat_size, seed=self.seed
        )
        core._rng = _Draws(self.seed, core)  # noqa: SLF001 - a generator's state would not be plain
        return core

    def measure(self, core: Any) -> tuple[float, float]:
        return 1 - float(core.p_value) if core.n >= self.window_size else 0.0, 1 - self.alpha


class _Draws:
    """Stands for the random.Random of river's object."""

    def __init__(self, seed: int, core: Any) -> None:
        self.seed, self.core = seed, core

    def sample(self, population: range, k: int) -> list[int]:
        places = np.random.default_rng([self.seed, self.core.n]).permutation(len(population))[:k]
        return [population[place] for place in places.tolist()]
