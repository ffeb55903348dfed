"""A model that fails on one row in ten: what a trial must catch and stop. Otherwise it is ridge."""

import hashlib
from typing import ClassVar

import numpy as np

from evenhand.processors.inference import Answer
from models.base import FloatArray
from models.linear import Ridge

ONE_IN = 10


class BrokenRow(RuntimeError):
    """The failure on purpose."""


def fails(row: FloatArray) -> bool:
    """Tell whether a row is one of those. It hangs on the row's bytes alone, so a retry or a replay fails alike."""
    return int.from_bytes(hashlib.blake2b(row.tobytes(), digest_size=8).digest()) % ONE_IN == 0


class Broken(Ridge):
    """Raises for a batch that holds a failing row; its other rows are answered when asked without it."""

    kind: ClassVar[str] = "broken"

    def predict(self, rows: FloatArray, horizon: int = 1) -> Answer:
        answer = super().predict(rows, horizon)
        if any(map(fails, np.ascontiguousarray(rows, dtype=np.float64))):
            raise BrokenRow("this version fails on one row in ten, on purpose")
        return answer
