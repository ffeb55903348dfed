"""Laws with and without a change, as research/stats.md (B1) has them."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter

Floats = NDArray[np.float64]
Rng = np.random.Generator
Law = Callable[[Rng, int], Floats]


def normal(mean: float = 0.0, spread: float = 1.0) -> Law:
    return lambda rng, n: rng.normal(mean, spread, n)


def student(rng: Rng, n: int) -> Floats:
    return rng.standard_t(3, n)


def student_of_variance_one(rng: Rng, n: int) -> Floats:
    return np.asarray(rng.standard_t(3, n) / np.sqrt(3), np.float64)


def autoregressive(phi: float) -> Law:
    def law(rng: Rng, n: int) -> Floats:
        noise = rng.normal(size=n) * np.sqrt(1 - phi * phi)
        noise[0] = rng.normal()
        return np.asarray(lfilter([1.0], [1.0, -phi], noise), np.float64)

    return law


def errors(rate: float) -> Law:
    return lambda rng, n: (rng.random(n) < rate).astype(np.float64)


NULL: dict[str, Law] = {
    "normal": normal(), "t3": student, "AR .5": autoregressive(0.5), "AR .9": autoregressive(0.9),
    "AR .98": autoregressive(0.98),
}  # fmt: skip
CHANGES: dict[str, tuple[Law, Law]] = {
    "+.25 sd": (normal(), normal(0.25)), "+.5 sd": (normal(), normal(0.5)), "+1 sd": (normal(), normal(1.0)),
    "spread x1.5": (normal(), normal(0.0, 1.5)), "shape": (normal(), student_of_variance_one),
}  # fmt: skip
ERRORS: dict[str, tuple[Law, Law]] = {
    f"errors .30 to .{rate}": (errors(0.3), errors(rate / 100)) for rate in (36, 40, 50)
}
