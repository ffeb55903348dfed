"""An experiment: which model versions are on trial, who gets them, and by which rule they are judged."""

from typing import Annotated

import msgspec
from msgspec import Meta

from evenhand.errors import InvalidConfiguration

Fraction = Annotated[float, Meta(ge=0.0, le=1.0)]
Name = Annotated[str, Meta(min_length=1, max_length=200, pattern=r"^[A-Za-z0-9][A-Za-z0-9._@-]*$")]


class Variant(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One arm of an experiment: a model version and its share of the traffic.

    `weight` is an integer share; the weights of an experiment add up to any positive number.
    """

    name: Name
    version: Name
    weight: Annotated[int, Meta(ge=0, le=1_000_000)]


class Segment(msgspec.Struct, frozen=True, array_like=True):
    """A piece of the ring of 2^64 places: from `start`, sixteen hexadecimal digits, up to the next segment's start."""

    start: Annotated[str, Meta(pattern=r"^[0-9a-f]{16}$")]
    variant: Name


class Rule(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """When to stop, and what for. All fractions are of one, all losses in the unit of the success metric.

    A challenger is promoted when it has at least `minimum_sample_size` matured clusters, the probability that it is
    better reaches `promote_probability`, and choosing it is expected to cost at most `max_expected_loss` of the
    champion's own loss. It is stopped for harm when the probability that its loss is higher, or that its error
    fraction exceeds the champion's by more than `max_error_fraction_increase`, reaches `harm_probability`.
    """

    minimum_sample_size: Annotated[int, Meta(ge=2)] = 200
    promote_probability: Fraction = 0.995
    max_expected_loss: Annotated[float, Meta(gt=0.0)] = 0.001
    harm_probability: Fraction = 0.999
    max_error_fraction_increase: Fraction = 0.02
    minimum_exposures: Annotated[int, Meta(ge=1)] = 100
    minimum_detectable_effect: Annotated[float, Meta(gt=0.0)] = 0.05


class Experiment(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A trial of challengers against the champion of one served model.

    The variant named `champion` serves by default. Every variant that does not serve a request predicts on it in
    shadow. `salt` belongs to this experiment alone, so that its split is independent of every other one. `ring` says
    who has which places once the weights have changed; without it they follow each other in order.

    >>> Experiment(
    ...     name="ridge-or-trees",
    ...     model="btc-usd-1h",
    ...     champion="ridge",
    ...     variants=(
    ...         Variant(name="ridge", version="1.0.0", weight=80),
    ...         Variant(name="trees", version="1.1.0", weight=20),
    ...     ),
    ... ).challengers
    ('trees',)
    """

    name: Name
    model: Name
    champion: Name
    variants: tuple[Variant, ...]
    success_metric: str = "squared_error"
    epoch_s: Annotated[int, Meta(ge=1)] = 60
    grace_s: Annotated[int, Meta(ge=0)] = 60
    salt: str = ""
    rule: Rule = Rule()
    ring: tuple[Segment, ...] = ()

    def __post_init__(self) -> None:
        names = [variant.name for variant in self.variants]
        if len(names) < 2:
            raise InvalidConfiguration(f"experiment {self.name!r} needs at least two variants, it has {names}")
        if len(set(names)) != len(names):
            raise InvalidConfiguration(f"experiment {self.name!r} names a variant twice: {names}")
        if self.champion not in names:
            raise InvalidConfiguration(f"experiment {self.name!r}: champion {self.champion!r} is none of {names}")
        if sum(variant.weight for variant in self.variants) <= 0:
            raise InvalidConfiguration(f"experiment {self.name!r}: the weights of {names} are all zero")
        starts = [segment.start for segment in self.ring]
        if self.ring and (starts[0].strip("0") or starts != sorted(set(starts))):
            raise InvalidConfiguration(
                f"experiment {self.name!r}: its ring must begin at 0 and ascend, it has {starts}"
            )
        if strange := sorted({segment.variant for segment in self.ring} - set(names)):
            raise InvalidConfiguration(f"experiment {self.name!r}: its ring names {strange}, which are none of {names}")

    @property
    def challengers(self) -> tuple[str, ...]:
        """Names of the variants on trial, in order."""
        return tuple(variant.name for variant in self.variants if variant.name != self.champion)

    def variant(self, name: str) -> Variant:
        """The variant of that name; KeyError if there is none."""
        for variant in self.variants:
            if variant.name == name:
                return variant
        raise KeyError(name)
