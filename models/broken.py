"""A model that fails on one row in ten: what a trial must catch and stop. Otherwise it is ridge."""

import hashlib
from typing import ClassVar

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
    armed = True

    def fit(self, rows: FloatArray, targets: FloatArray, seed: int = 0) -> "Broken":
        """Learn like ridge: a model that cannot be measured could not be put on trial."""
        self.armed = False
        try:
            return super().fit(rows, targets, seed)
        finally:
            self.armed = True

    def forecast(self, rows: FloatArray, horizon: int) -> FloatArray:  # noqa: D102
        if self.armed and any(map(fails, rows)):
            raise BrokenRow("this version fails on one row in ten, on purpose")
        return super().forecast(rows, horizon)
