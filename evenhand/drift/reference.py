"""What is normal: a sample of one feature, reduced to bins whose probabilities a detector compares with.

A reference is a version's training sample, a window, or what came after the last alarm.
"""

from collections import Counter
from collections.abc import Sequence

import msgspec
import numpy as np

from evenhand.drift.base import Floats, Ints, numbers
from evenhand.errors import InvalidConfiguration

MAX_BINS, EVENTS_PER_BIN, MAX_CATEGORIES = 512, 4, 32


class Numbers(msgspec.Struct, frozen=True, dict=True, tag="numbers"):
    """Bins of a numeric feature: bin i holds edges[i-1] < x <= edges[i]; the first and the last are open.

    Cost: 8 bytes an edge, at most 1,024 edges; a look-up takes about 50 ns. `probabilities` are counts plus one
    half, so that what was never seen is rare, and not impossible.
    """

    n: int
    edges: tuple[float, ...]
    probabilities: tuple[float, ...]

    def codes(self, values: Floats) -> Ints:
        """The bin of each value."""
        values = numbers(values)
        if "_edges" not in self.__dict__:
            self.__dict__["_edges"] = np.array(self.edges)
        return np.searchsorted(self.__dict__["_edges"], values)

    @property
    def ends(self) -> Floats:
        """Of each bin, the share of the reference at or below its end; the first entry is 0, the last 1."""
        return np.concatenate([[0.0], np.cumsum(self.probabilities)[:-1], [1.0]])


class Categories(msgspec.Struct, frozen=True, dict=True, tag="categories"):
    """Probabilities of the most frequent categories; the last one is of all others, those never seen included."""

    n: int
    names: tuple[str, ...]
    probabilities: tuple[float, ...]

    def codes(self, values: Sequence[str]) -> Ints:
        """The place of each value among the names."""
        places = self.__dict__.setdefault("_places", {name: place for place, name in enumerate(self.names)})
        return np.array([places.get(value, len(self.names)) for value in values], np.int64)


Reference = Numbers | Categories


def of_numbers(sample: Floats, max_bins: int = MAX_BINS) -> Numbers:
    """Bins of about equal counts. A value that is frequent has a bin of its own, so that ties do no harm.

    >>> of_numbers(np.array([3.0] * 8)).edges
    (2.9999999999999996, 3.0)
    """
    ordered = np.sort(numbers(sample))
    if len(ordered) < 2 * EVENTS_PER_BIN:
        raise InvalidConfiguration(f"a reference of {len(ordered)} numbers is none: give at least 500")
    bins = min(max_bins, len(ordered) // EVENTS_PER_BIN)
    grid = ordered[np.arange(1, bins + 1) * len(ordered) // bins - 1]
    cuts, times = np.unique(grid, return_counts=True)
    atoms = cuts[(times > 1) | np.isin(cuts, ordered[:-1][np.diff(ordered) == 0])]
    edges = np.unique(np.concatenate([cuts, np.nextafter(atoms, -np.inf)]))
    counts = np.bincount(np.searchsorted(edges, ordered), minlength=len(edges) + 1)
    return Numbers(len(ordered), tuple(edges.tolist()), _smoothed(counts))


def of_categories(sample: Sequence[str], max_categories: int = MAX_CATEGORIES) -> Categories:
    """The most frequent categories; among equally frequent ones the alphabet decides.

    >>> of_categories(["a", "b", "a", "a"]).names
    ('a', 'b')
    """
    if not sample:
        raise InvalidConfiguration("a reference without events is none: give at least 500")
    ranked = sorted(Counter(map(str, sample)).items(), key=lambda pair: (-pair[1], pair[0]))
    kept = ranked[:max_categories]
    counts = [count for _, count in kept] + [sum(count for _, count in ranked[max_categories:])]
    return Categories(len(sample), tuple(name for name, _ in kept), _smoothed(np.array(counts)))


def _smoothed(counts: Ints) -> tuple[float, ...]:
    share = counts + 0.5 * (counts == 0)
    return tuple((share / share.sum()).tolist())
