"""A metric over many events as sums that add up: over batches, epochs and partitions. One file each."""

from typing import ClassVar, Self

import msgspec

SKETCHES: dict[str, "type[Sketch]"] = {}


class Sketch(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Plain JSON. `kind()` without arguments is the empty one; `merge` is associative and has it as its neutral."""

    kind: ClassVar[str]

    def __init_subclass__(cls) -> None:
        kind = cls.__dict__.get("kind")
        if kind is None:
            return
        if kind in SKETCHES and SKETCHES[kind].__module__ != cls.__module__:
            raise TypeError(f"two sketches are named {kind!r}: rename one")
        SKETCHES[kind] = cls

    def merge(self, other: Self) -> Self:
        """Of both together: sums of all fields, unless a sketch does otherwise."""
        return type(self)(**{name: getattr(self, name) + getattr(other, name) for name in self.__struct_fields__})

    def values(self) -> dict[str, float]:
        """Names, with their units, to values; nothing where there is no data."""
        raise TypeError(f"{type(self).__name__} says nothing")
