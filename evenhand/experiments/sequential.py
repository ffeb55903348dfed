"""The test that may be looked at after every event: a continuous O'Brien-Fleming boundary beside a confidence sequence.

Both bound |sum of differences| as a function of how many there are, n. Their error probabilities add up to alpha.

- O'Brien-Fleming, to the planned end N: reject when |z| sqrt(n / N) >= c with 4 (1 - Phi(c)) = alpha. By reflection,
  a Brownian motion crosses +-c anywhere before time 1 with at most that probability, however often one looks.
- The asymptotic confidence sequence (Waudby-Smith, Arbour, Sinha, Kennedy & Ramdas, Annals of Statistics 2024), for
  ever: half-width sd sqrt(2 (n r + 1) / (n^2 r) log(sqrt(n r + 1) / alpha)), tightest near n = m with
  r = (log(1 - 2 log alpha) - 2 log alpha) / m.

The first has the power of a fixed test at the planned end, the second stops sooner where an effect is large. All
functions take numbers or arrays that broadcast: `simulate` calls the one that the judge calls. Cost: 5 µs a look for
numbers, 0.1 µs in arrays.
"""

import math
from functools import lru_cache
from typing import Any

import msgspec
import numpy as np
from scipy.special import ndtri

Number = Any  # float, or an array of them
SPENT_FOR_EVER = 0.02  # of alpha, on the confidence sequence
LEAST = 30  # clusters or blocks before the first look: both boundaries are asymptotic


class Design(msgspec.Struct, frozen=True, gc=False):
    """What is fixed before the first look.

    `alpha` is two-sided. `effect` is the smallest difference that matters, in the unit of the metric; with `planned`,
    that many observations are the end, otherwise as many as a fixed test of that effect needs. A fixed design has one
    look, at the end.
    """

    alpha: float
    effect: float
    power: float = 0.8
    minimum: int = LEAST
    planned: int | None = None
    is_fixed: bool = False


def planned_size(design: Design, sd: Number) -> Number:
    """Observations at the planned end: ((z_alpha/2 + z_power) sd / effect)^2, those of a fixed test.

    >>> round(planned_size(Design(alpha=0.05, effect=0.2), 1.0))
    196
    """
    if design.planned is not None:
        return sd * 0.0 + design.planned
    return (sd * (_planned_z(design.alpha, design.power) / design.effect)) ** 2


def half_width(
    design: Design, n: Number, sd: Number, *, is_past_end: Number = False, end: Number | None = None
) -> Number:
    """Half of the width of the interval around the mean that is valid at every look at once, in the metric's unit.

    The lesser of the two boundaries' widths. Past the planned end only the confidence sequence goes on; the first look
    at or after the end is still O'Brien-Fleming's. Zero lies outside exactly where the test rejects. `end` is the
    planned size, for those who know it.
    """
    least = max(design.minimum, LEAST)
    if end is None:
        end = planned_size(design, sd)
    if design.is_fixed:
        too_soon = (n < _greater(end, least)) | is_past_end
        return _choose(too_soon, np.inf, sd * _quantile(1.0 - design.alpha / 2.0) / n**0.5)
    if type(n) is float and type(end) is float and type(is_past_end) is bool:  # what follows, of numbers
        critical, rho, log_alpha = _constants(design.alpha, least)
        bounded, grown = sd * critical / (min(end, n) * n / end) ** 0.5, n * rho + 1.0
        wide = sd * (2.0 * grown / (n * n * rho) * (0.5 * math.log(grown) - log_alpha)) ** 0.5
        return math.inf if n < least else bounded if bounded < wide and not is_past_end else wide
    alpha = design.alpha
    bounded = sd * _critical((1.0 - SPENT_FOR_EVER) * alpha) / (_lesser(n, end) * n / end) ** 0.5
    wide = sd * _unit_width(n, SPENT_FOR_EVER * alpha, least)
    return _choose(n < least, np.inf, _choose(is_past_end, wide, _lesser(bounded, wide)))


def _choose(condition: Number, a: Number, b: Number) -> Number:
    """Of arrays element by element; of numbers at once, which is ten times as fast as numpy."""
    return np.where(condition, a, b) if isinstance(condition, np.ndarray) else a if condition else b


def _lesser(a: Number, b: Number) -> Number:
    less = a < b
    return np.where(less, a, b) if isinstance(less, np.ndarray) else a if less else b


def _greater(a: Number, b: Number) -> Number:
    return _choose(a > b, a, b)


def _unit_width(n: Number, alpha: float, tightest: float) -> Number:
    rho = tightness(alpha, tightest)
    grown = n * rho + 1.0
    log = math.log if type(n) is float else np.log
    return (2.0 * grown / (n * n * rho) * (0.5 * log(grown) - math.log(alpha))) ** 0.5


@lru_cache(maxsize=256)
def tightness(alpha: float, tightest: float) -> float:
    """The rho of a confidence sequence that is tightest near so many observations."""
    return (math.log(1.0 - 2.0 * math.log(alpha)) - 2.0 * math.log(alpha)) / tightest


def asymptotic_half_width(n: Number, sd: Number, alpha: float, tightest: float) -> Number:
    """Of the confidence sequence alone, at level 1 - alpha, for ever.

    >>> round(float(asymptotic_half_width(1000.0, 1.0, 0.05, 1000.0)), 4)
    0.096
    """
    return sd * _unit_width(n, alpha, tightest)


@lru_cache(maxsize=256)
def _constants(alpha: float, least: int) -> tuple[float, float, float]:
    """Of a design: the critical value of its boundary, rho and log alpha of its confidence sequence."""
    spent = SPENT_FOR_EVER * alpha
    return _critical((1.0 - SPENT_FOR_EVER) * alpha), tightness(spent, least), math.log(spent)


@lru_cache(maxsize=256)
def _critical(alpha: float) -> float:
    """4 (1 - Phi(c)) = alpha."""
    return _quantile(1.0 - alpha / 4.0)


@lru_cache(maxsize=256)
def _planned_z(alpha: float, power: float) -> float:
    return _quantile(1.0 - alpha / 2.0) + _quantile(power)


@lru_cache(maxsize=256)
def _quantile(probability: float) -> float:
    return float(ndtri(probability))
