"""Gradient boosted trees by LightGBM (Ke et al. 2017), learned for one step and carried further by its own decay.

Steps beyond the first answer `decay[k]` times the first: the least-squares slope of the target of step k + 1 on the
forecast of the first, out of the part that the trees have not seen, held between 0 and the decay of the step before.
So a signal that does not last is not repeated, and one ensemble serves every step.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any, ClassVar

import msgspec
import numpy as np
from msgspec import Meta

from models.base import HELD_OUT_FRACTION, FloatArray, Model


class TreeParameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """LightGBM's own names; few leaves and slow learning, because returns are mostly noise."""

    num_boost_round: Annotated[int, Meta(ge=1, le=10_000)] = 100
    learning_rate: Annotated[float, Meta(gt=0.0, le=1.0)] = 0.03
    num_leaves: Annotated[int, Meta(ge=2, le=1024)] = 15
    min_data_in_leaf: Annotated[int, Meta(ge=1)] = 20
    lambda_l2: Annotated[float, Meta(ge=0.0)] = 1.0
    feature_fraction: Annotated[float, Meta(gt=0.0, le=1.0)] = 1.0
    bagging_fraction: Annotated[float, Meta(gt=0.0, le=1.0)] = 1.0
    bagging_freq: Annotated[int, Meta(ge=0)] = 0


class BoostedTrees(Model):
    """LightGBM regression on one thread, so that the same table and seed give the same bytes."""

    kind: ClassVar[str] = "boosted_trees"
    Parameters: ClassVar[type[msgspec.Struct]] = TreeParameters

    def learn(self, rows: FloatArray, targets: FloatArray, seed: int) -> None:
        decay = [1.0]
        cut = int(len(rows) * (1 - HELD_OUT_FRACTION))
        seen = max(1, cut - targets.shape[1])
        tail = (rows[cut:], targets[cut:, 0])
        self._take(self._grow(rows[:seen], targets[:seen, 0], seed, tail=tail), decay)
        first = self.forecast(rows[cut:], 1)[:, 0]
        for step in range(1, targets.shape[1]):
            decay.append(min(decay[-1], _slope(first, targets[cut:, step])))
        self._take(self._grow(rows, targets[:, 0], seed), decay)

    def _grow(
        self,
        rows: FloatArray,
        target: FloatArray,
        seed: int,
        objective: Mapping[str, Any] = MappingProxyType({"objective": "regression"}),
        tail: tuple[FloatArray, FloatArray] | None = None,
    ) -> str:
        """Grow trees, as text; the squared error on a `tail` becomes the learning curve."""
        import lightgbm  # noqa: PLC0415  half a second that only its users should pay

        known = np.isfinite(target)
        settings = msgspec.to_builtins(self.parameters)
        rounds = settings.pop("num_boost_round")
        settings |= {**objective, "seed": seed, "num_threads": 1, "verbosity": -1}
        settings |= {"deterministic": True, "force_row_wise": True}
        data = lightgbm.Dataset(rows[known], target[known])
        if tail is None:
            return lightgbm.train(settings, data, num_boost_round=rounds).model_to_string()
        held, mean = np.isfinite(tail[1]), float(target[known].mean())
        self.curve = []
        self.learned_round(float(target[known].var()), float(((tail[1][held] - mean) ** 2).mean()))
        watched = [data, data.create_valid(tail[0][held], tail[1][held])]

        def told(place: Any) -> None:
            (_, _, learned, _), (_, _, held_out, _) = place.evaluation_result_list
            self.learned_round(float(learned), float(held_out))

        booster = lightgbm.train(
            settings | {"metric": "l2"}, data, rounds, watched, ["learned", "held out"], callbacks=[told]
        )
        return booster.model_to_string()

    def _take(self, text: str, decay: list[float]) -> None:
        import lightgbm  # noqa: PLC0415

        # The booster always comes from the text, so that a model answers the same before and after it was saved.
        self._booster: lightgbm.Booster = lightgbm.Booster(model_str=text)
        self._text, self._decay = text, decay

    def forecast(self, rows: FloatArray, horizon: int) -> FloatArray:
        if not len(rows):
            return np.empty((0, horizon))
        first = np.asarray(self._booster.predict(rows, num_threads=1, validate_features=False), dtype=np.float64)
        return np.multiply.outer(first, self._decay[:horizon])

    def weights(self) -> dict[str, bytes]:
        return {"trees.txt": self._text.encode(), "decay.json": msgspec.json.encode(self._decay)}

    def restore(self, files: Mapping[str, bytes]) -> None:
        self._take(files["trees.txt"].decode(), msgspec.json.decode(files["decay.json"], type=list[float]))


def _slope(forecast: FloatArray, target: FloatArray) -> float:
    """Slope of target on forecast through the origin, between 0 and 1."""
    known = np.isfinite(target)
    power = float((forecast[known] ** 2).sum())
    return min(1.0, max(0.0, float((forecast[known] * target[known]).sum()) / power)) if power > 0 else 0.0
