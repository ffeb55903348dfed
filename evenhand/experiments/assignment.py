"""Who gets which variant: a salted hash of the unit, the same on every worker, restart and in every language."""

from bisect import bisect_right
from collections.abc import Sequence
from hashlib import blake2b

from evenhand.experiments.experiment import Experiment, Variant


def bucket(salt: str, unit: str) -> int:
    """A unit's place on the ring of 2^64: blake2b of salt, the byte 0x1f, and unit; 8 bytes, big endian.

    Other languages: `schemas/examples/assignment.json` has values to check against, and
    `docs/reference/assignment.mjs` does the same in JavaScript.

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


def segments(experiment: Experiment) -> list[tuple[int, int, str]]:
    """Start, end and variant of each piece of the ring, in order; together they are all of it."""
    if experiment.ring:
        starts = [int(segment.start, 16) for segment in experiment.ring]
        owners = [segment.variant for segment in experiment.ring]
    else:
        starts = [0, *edges(experiment.variants)[:-1]]
        owners = [variant.name for variant in experiment.variants]
    return [
        (start, end, owner)
        for start, end, owner in zip(starts, [*starts[1:], 1 << 64], owners, strict=True)
        if start < end
    ]


class Ring:
    """The ring of an experiment, worked out once for many units.

    The salt is the experiment's own (default: its name), so that two experiments, or an experiment and a rollout,
    split the same units independently of each other.

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

    __slots__ = ("_ends", "_owners", "_salt")

    def __init__(self, experiment: Experiment) -> None:
        self._salt, pieces = experiment.salt or experiment.name, segments(experiment)
        self._ends = [end for _, end, _ in pieces]
        self._owners = [experiment.variant(owner) for _, _, owner in pieces]

    def assign(self, unit: str) -> Variant:
        """The variant of a unit, O(log of the number of segments), about a microsecond."""
        return self._owners[bisect_right(self._ends, bucket(self._salt, unit))]


def assign(experiment: Experiment, unit: str) -> Variant:
    """The variant of one unit."""
    return Ring(experiment).assign(unit)
