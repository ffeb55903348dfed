"""Phases: other weights for a running experiment, moving as few units as possible.

A function of the weights alone cannot do it: with two challengers or more, where the first's part begins must depend
on what the others had before. So the ring itself is carried along, in the control that changes the weights.
"""

from collections.abc import Mapping

import msgspec

from evenhand.errors import InvalidConfiguration
from evenhand.experiments.assignment import edges, segments
from evenhand.experiments.experiment import Experiment, Segment


def reweighted(experiment: Experiment, weights: Mapping[str, int]) -> Experiment:
    """The experiment with other weights: no unit leaves a variant whose share grows or stays.

    Variants that `weights` does not name keep theirs. A shrinking variant gives away the last of its places, growing
    ones take what is free, in order; each has its exact share of the 2^64 places.
    """
    known = {variant.name for variant in experiment.variants}
    if strange := sorted(set(weights) - known):
        raise InvalidConfiguration(
            f"experiment {experiment.name!r} has no variants {strange}: they are {sorted(known)}"
        )
    variants = tuple(
        msgspec.structs.replace(variant, weight=weights.get(variant.name, variant.weight))
        for variant in experiment.variants
    )
    if sum(variant.weight for variant in variants) <= 0:
        raise InvalidConfiguration(f"experiment {experiment.name!r}: the weights {dict(weights)} leave nobody to serve")
    ends = edges(variants)
    missing = {
        variant.name: end - start
        for variant, start, end in zip(variants, [0, *ends[:-1]], ends, strict=True)
    }  # fmt: skip
    kept: list[tuple[int, int, str]] = []
    free: list[tuple[int, int]] = []
    for start, end, owner in segments(experiment):
        stays = min(end - start, missing[owner])
        missing[owner] -= stays
        kept.append((start, start + stays, owner))
        free.append((start + stays, end))
    for variant in variants:
        while missing[variant.name]:
            start, end = free.pop(0)
            taken = min(end - start, missing[variant.name])
            missing[variant.name] -= taken
            kept.append((start, start + taken, variant.name))
            if start + taken < end:
                free.insert(0, (start + taken, end))
    return msgspec.structs.replace(experiment, variants=variants, ring=_joined(kept))


def without(experiment: Experiment, name: str) -> Experiment | None:
    """The experiment when a challenger has left it: its units go to the champion, nobody else moves.

    None if no challenger is left, or nobody would be served.
    """
    champion = experiment.variant(experiment.champion)
    weights = {name: 0, champion.name: champion.weight + experiment.variant(name).weight}
    left = tuple(variant for variant in reweighted(experiment, weights).variants if variant.name != name)
    if len(left) < 2:
        return None
    return msgspec.structs.replace(experiment, variants=left, ring=reweighted(experiment, weights).ring)


def _joined(pieces: list[tuple[int, int, str]]) -> tuple[Segment, ...]:
    ring: list[Segment] = []
    for start, end, owner in sorted(pieces):
        if start < end and (not ring or ring[-1].variant != owner):
            ring.append(Segment(f"{start:016x}", owner))
    return tuple(ring)
