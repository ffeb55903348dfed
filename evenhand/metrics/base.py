"""A metric: what one prediction and its outcome are worth. One file each; a file in this folder is a metric."""

from typing import ClassVar

import msgspec
import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
REGISTRY: dict[str, "type[Loss]"] = {}


class Loss(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A loss: the smaller the better, in the unit that its docstring states. `bound` is the greatest it can be."""

    name: ClassVar[str]
    bound: ClassVar[float | None] = None

    def __init_subclass__(cls) -> None:
        if cls.name in REGISTRY:
            raise TypeError(f"two metrics are named {cls.name!r}: rename one")
        REGISTRY[cls.name] = cls

    def losses(self, values: Array, outcomes: Array) -> Array:
        """Of each prediction; both arrays have shape (n,)."""
        raise TypeError(f"{type(self).__name__} defines no losses")
