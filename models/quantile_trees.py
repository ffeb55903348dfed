"""LightGBM for the spread, too: trees for the 5 % and the 95 % quantile (Koenker and Bassett 1978) beside the mean.

What they say of the first step is the row's own volatility, in place of a feature's; conformal inference makes of it
intervals that hold 90 % (Romano et al. 2019 conformalise quantiles in the same spirit).
"""

from collections.abc import Mapping
from typing import ClassVar

import msgspec
import numpy as np

from evenhand.training.conformal import NORMAL_90
from models.base import FloatArray
from models.boosted_trees import BoostedTrees

QUANTILES = {"low": 0.05, "high": 0.95}


class QuantileTrees(BoostedTrees):
    """Boosted trees that know how far off they are, row by row."""

    kind: ClassVar[str] = "quantile_trees"

    def learn(self, rows: FloatArray, targets: FloatArray, seed: int) -> None:
        super().learn(rows, targets, seed)
        texts = {
            name: self._grow(rows, targets[:, 0], seed, {"objective": "quantile", "alpha": quantile})
            for name, quantile in QUANTILES.items()
        }
        sds = np.nanstd(targets, axis=0)
        first = float(sds[0]) or 1.0
        self._take_spread(texts, [max(1e-9, float(sd) / first) for sd in sds], 0.01 * first)

    def _take_spread(self, texts: Mapping[str, str], growth: list[float], least: float) -> None:
        import lightgbm  # noqa: PLC0415  half a second that only its users should pay

        self._spread_trees = {name: lightgbm.Booster(model_str=text) for name, text in texts.items()}
        self._texts, self._growth, self._least = dict(texts), growth, least

    def volatility(self, rows: FloatArray, horizon: int) -> FloatArray | None:
        if not len(rows):
            return np.empty((0, horizon))
        low, high = (
            np.asarray(self._spread_trees[name].predict(rows, num_threads=1, validate_features=False), np.float64)
            for name in QUANTILES
        )
        # Trees of two quantiles may cross.
        first = np.maximum((high - low) / (2 * NORMAL_90), self._least)
        spread: FloatArray = np.multiply.outer(first, np.array(self._growth[:horizon]))
        return spread

    def weights(self) -> dict[str, bytes]:
        spread = {"growth": self._growth, "least": self._least}
        texts = {f"{name}.txt": text.encode() for name, text in self._texts.items()}
        return {**super().weights(), **texts, "spread.json": msgspec.json.encode(spread)}

    def restore(self, files: Mapping[str, bytes]) -> None:
        super().restore(files)
        held = msgspec.json.decode(files["spread.json"], type=_Spread)
        self._take_spread({name: files[f"{name}.txt"].decode() for name in QUANTILES}, held.growth, held.least)


class _Spread(msgspec.Struct):
    growth: list[float]
    least: float
