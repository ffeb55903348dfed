"""Who gets which variant: a salted hash of the unit, the same on every worker, restart and in every language."""

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


def assign(experiment: Experiment, unit: str) -> Variant:
    """The variant of a unit, O(number of variants), about a microsecond."""
    place = bucket(experiment.salt or experiment.name, unit)
    for variant, end in zip(experiment.variants, edges(experiment.variants), strict=True):
        if place < end:
            return variant
    raise AssertionError("the last edge is 2^64")
