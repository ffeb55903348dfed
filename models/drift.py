"""Drift: each step moves as the steps of the training did on average. A baseline (Hyndman and Athanasopoulos 2021)."""

from collections.abc import Mapping
from typing import ClassVar

import msgspec
import numpy as np

from models.base import FloatArray, Model


class Drift(Model):
    """Answers the mean target of each step, whatever the row."""

    kind: ClassVar[str] = "drift"

    def learn(self, rows: FloatArray, targets: FloatArray, seed: int) -> None:
        self._means = [float(column[np.isfinite(column)].mean()) for column in targets.T]

    def forecast(self, rows: FloatArray, horizon: int) -> FloatArray:
        return np.tile(np.array(self._means[:horizon]), (len(rows), 1))

    def weights(self) -> dict[str, bytes]:
        return {"drift.json": msgspec.json.encode(self._means)}

    def restore(self, files: Mapping[str, bytes]) -> None:
        self._means = msgspec.json.decode(files["drift.json"], type=list[float])
