"""Who gets which variant: a salted hash of the unit, the same on every worker, restart and in every language."""

from bisect import bisect_right
from collections.abc import Sequence
from functools import lru_cache
from hashlib import blake2b

from evenhand.experiments.experiment import Experiment, Segment, Variant


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


def assign(experiment: Experiment, unit: str) -> Variant:
    """The variant of a unit, O(log number of segments), about a microsecond.

    The salt is the experiment's own (default: its name), so that two experiments, or an experiment and a rollout,
    split the same units independently of each other.
    """
    starts, owners = _layout(experiment.variants, experiment.ring)
    return owners[bisect_right(starts, bucket(experiment.salt or experiment.name, unit)) - 1]


@lru_cache(maxsize=256)
def _layout(variants: tuple[Variant, ...], ring: tuple[Segment, ...]) -> tuple[list[int], list[Variant]]:
    by_name = {variant.name: variant for variant in variants}
    if ring:
        return [int(segment.start, 16) for segment in ring], [by_name[segment.variant] for segment in ring]
    places = [
        (start, variant)
        for start, end, variant in zip([0, *edges(variants)[:-1]], edges(variants), variants, strict=True)
        if start < end
    ]
    return [start for start, _ in places], [variant for _, variant in places]
