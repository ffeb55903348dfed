"""Who gets which variant: a salted hash of the unit, the same on every worker, restart and in every language."""

from bisect import bisect_right
from collections.abc import Sequence
from hashlib import blake2b

from evenhand.experiments.experiment import Experiment, Variant


def bucket(salt: str, unit: str) -> int:
    """A unit's place on the ring of 2^64: blake2b of salt, the byte 0x1f, and unit; 8 bytes, big endian.

    >>> bucket("ridge-or-trees", "user-1")
    7954366265866240362
    """
    return int.from_bytes(blake2b(f"{salt}\x1f{unit}".encode(), digest_size=8).digest(), "big")


def edges(variants: Sequence[Variant]) -> list[int]:
    """Where each variant's part of the ring ends: exact integers, the last is 2^64."""
    total, so_far, ends = sum(variant.weight for variant in variants), 0, []
    for variant in variants:
        so_far += variant.weight
        ends.append((so_far << 64) // total)
    return ends


class Ring:
    """The ring of an experiment, worked out once for many units.

    >>> Ring(
    ...     Experiment(
    ...         name="e",
    ...         model="m",
    ...         champion="a",
    ...         variants=(Variant(name="a", version="1.0.0", weight=1), Variant(name="b", version="2.0.0", weight=1)),
    ...     )
    ... ).assign("user-1").name
    'b'
    """

    __slots__ = ("_ends", "_salt", "_variants")

    def __init__(self, experiment: Experiment) -> None:
        self._salt, self._variants = experiment.salt or experiment.name, experiment.variants
        self._ends = edges(experiment.variants)

    def assign(self, unit: str) -> Variant:
        """The variant of a unit, O(log of the number of variants), about a microsecond."""
        return self._variants[bisect_right(self._ends, bucket(self._salt, unit))]


def assign(experiment: Experiment, unit: str) -> Variant:
    """The variant of one unit."""
    return Ring(experiment).assign(unit)
