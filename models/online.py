"""Online linear regression by river: goes on learning from outcomes as they mature, one at a time.

One regression a step, on features standardised by running moments, by normalised stochastic gradient descent (Zinkevich
2003; the target is divided by its running scale, so that the rate needs no unit). Saved as JSON.
"""

import copy
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, ClassVar

import msgspec
import numpy as np
from msgspec import Meta

from models.base import FloatArray, LearnsOnline, Model

if TYPE_CHECKING:
    from river.linear_model import LinearRegression


class OnlineParameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`learning_rate` of a step at first, falling with the root of the number of outcomes; `l2` pulls to zero."""

    learning_rate: Annotated[float, Meta(gt=0.0, le=1.0)] = 0.02
    l2: Annotated[float, Meta(ge=0.0)] = 0.0001


class StepState(msgspec.Struct):
    """What one step has learned: running moments of features and target, weights of the standardised features."""

    count: int
    means: list[float]
    squares: list[float]
    target_square: float
    weights: list[float]
    intercept: float


class Online(LearnsOnline, Model):
    """A regression that was learned in order of time; `updated` goes on with newer outcomes."""

    kind: ClassVar[str] = "online"
    Parameters: ClassVar[type[msgspec.Struct]] = OnlineParameters

    def learn(self, rows: FloatArray, targets: FloatArray, seed: int) -> None:
        width = rows.shape[1]
        self._steps = [StepState(0, [0.0] * width, [0.0] * width, 0.0, [0.0] * width, 0.0) for _ in targets.T]
        self._observe(rows, targets)

    def part(self) -> None:
        self._steps = copy.deepcopy(self._steps)

    def observe(self, row: FloatArray, targets: FloatArray) -> None:
        self._observe(row[None], targets[None])

    def _observe(self, rows: FloatArray, targets: FloatArray) -> None:
        for state, column in zip(self._steps, targets.T, strict=True):
            regression = self._regression(state)
            for row, target in zip(rows.tolist(), column.tolist(), strict=True):
                if math.isnan(target):
                    continue
                state.count += 1
                for place, value in enumerate(row):
                    ahead = value - state.means[place]
                    state.means[place] += ahead / state.count
                    state.squares[place] += ahead * (value - state.means[place])
                state.target_square += (target * target - state.target_square) / state.count
                scale = math.sqrt(state.target_square) or 1.0
                regression.learn_one(dict(enumerate(self._standard(state, row))), target / scale)
            state.weights = [float(regression.weights[place]) for place in range(len(state.weights))]
            state.intercept = float(regression.intercept)

    @staticmethod
    def _standard(state: StepState, row: list[float]) -> list[float]:
        """Standardised and clipped: one wild value must not throw away what was learned."""
        moments = zip(row, state.means, state.squares, strict=True)
        return [
            max(-5.0, min(5.0, (value - mean) / math.sqrt(square / state.count))) if square > 0 else 0.0
            for value, mean, square in moments
        ]

    def _regression(self, state: StepState) -> "LinearRegression":
        from river import linear_model, optim  # noqa: PLC0415  a second that only learning should pay

        rate = optim.schedulers.InverseScaling(self.parameters.learning_rate, power=0.5)
        descent = optim.SGD(rate)
        descent.n_iterations = state.count
        regression = linear_model.LinearRegression(
            descent, l2=self.parameters.l2, intercept_init=state.intercept, intercept_lr=0.001, clip_gradient=10.0
        )
        regression._weights.update(dict(enumerate(state.weights)))  # noqa: SLF001  it has no other door
        return regression

    def forecast(self, rows: FloatArray, horizon: int) -> FloatArray:
        values = np.empty((len(rows), horizon))
        for step, state in enumerate(self._steps[:horizon]):
            spread = np.sqrt(np.array(state.squares) / state.count)
            still = spread == 0
            z = np.clip((rows - np.array(state.means)) / np.where(still, 1.0, spread), -5.0, 5.0) * ~still
            answer = (z * np.array(state.weights)).sum(axis=1) + state.intercept
            values[:, step] = answer * (math.sqrt(state.target_square) or 1.0)
        return values

    def weights(self) -> dict[str, bytes]:
        return {"online.json": msgspec.json.encode(self._steps)}

    def restore(self, files: Mapping[str, bytes]) -> None:
        self._steps = msgspec.json.decode(files["online.json"], type=list[StepState])
