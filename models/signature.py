"""The signature of a model: what goes in, what comes out, in which unit."""

from typing import Annotated

import msgspec
from msgspec import Meta


class Signature(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What goes into a model and what comes out.

    `values[k]` is the target of step k + 1 alone, not a sum over steps: an outcome for a target time is one number,
    whatever the step that it was predicted at. With `aligned`, targets lie on multiples of `horizon_s`.
    """

    features: Annotated[tuple[str, ...], Meta(min_length=1)]
    target: str
    unit: str
    horizon_s: Annotated[int, Meta(ge=1)]
    aligned: bool = True
    reference_price: str | None = None
    max_horizon: Annotated[int, Meta(ge=1, le=1000)] = 1

    @property
    def volatility_column(self) -> int | None:
        """Place of the first feature that tells how much the target moves, by its name."""
        return next((place for place, name in enumerate(self.features) if "volatility" in name), None)
