"""Seasonal naive: what happened one season ago happens again. A baseline (Hyndman and Athanasopoulos 2021, 5.2)."""

from collections.abc import Mapping
from typing import ClassVar

import msgspec

from evenhand.errors import InvalidConfiguration
from models.base import FloatArray, Model
from models.convert import nearest


class SeasonalNaiveParameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`columns`: the feature that step 1, 2, ... answers, such as the return of this hour one day before.

    Without them step k answers the k-th feature, counted round.
    """

    columns: tuple[str, ...] = ()


class SeasonalNaive(Model):
    """Answers each step with a feature: the target as it was one season earlier."""

    kind: ClassVar[str] = "seasonal_naive"
    Parameters: ClassVar[type[msgspec.Struct]] = SeasonalNaiveParameters

    def learn(self, rows: FloatArray, targets: FloatArray, seed: int) -> None:
        self._places()  # a wrong name is told before the first request

    def _places(self) -> list[int]:
        names = self.parameters.columns or self.features
        for name in names:
            if name not in self.features:
                raise InvalidConfiguration(f"columns of {self.kind}: no feature {name!r}{nearest(name, self.features)}")
        return [self.features.index(names[step % len(names)]) for step in range(self.signature.max_horizon)]

    def forecast(self, rows: FloatArray, horizon: int) -> FloatArray:
        values: FloatArray = rows[:, self._places()[:horizon]]
        return values

    def weights(self) -> dict[str, bytes]:
        return {}

    def restore(self, files: Mapping[str, bytes]) -> None:
        """Nothing was learned."""
