"""A measure: what one served request is worth, whatever its outcome. One file each; a guardrail names it."""

from typing import ClassVar

import msgspec

MEASURES: dict[str, "type[Measure]"] = {}


class Measure(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Of a request's response time. The guardrail watches the ratio of means, or of their exponentials."""

    name: ClassVar[str]
    is_logarithm: ClassVar[bool] = False

    def __init_subclass__(cls) -> None:
        if cls.name in MEASURES:
            raise TypeError(f"two measures are named {cls.name!r}: rename one")
        MEASURES[cls.name] = cls

    def of(self, response_time_ms: float) -> float:
        """Of one request."""
        raise TypeError(f"{type(self).__name__} measures nothing")
