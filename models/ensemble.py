"""Many models made one: the experts forecast, the weights of each step say how much each of them counts.

The random walk (zero) is always an expert. Weights are fixed (equal, inverse loss, stacking) or learned online from
matured outcomes (BOA with fixed share); evenhand/training/ensemble.py has the sources. They start from forecasts of
rows that the experts had not seen.
"""

import copy
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal

import msgspec
import numpy as np
from msgspec import Meta

from evenhand.training.ensemble import (
    Boa,
    BoaSettings,
    BoaState,
    equal,
    inverse_loss,
    mix,
    stacking,
    with_random_walk,
)
from models.base import FloatArray, LearnsOnline, Model, model_kind

RULES = {"equal": equal, "inverse_loss": inverse_loss, "stacking": stacking}


class Expert(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A model of the ensemble."""

    kind: str
    parameters: dict[str, Any] = {}


class EnsembleParameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`blocks` of the last half of the training are forecast by experts that learned from what lies before them."""

    experts: Annotated[tuple[Expert, ...], Meta(min_length=1)] = (
        Expert("drift"), Expert("ridge"), Expert("boosted_trees"),
    )  # fmt: skip
    weights: Literal["boa", "equal", "inverse_loss", "stacking"] = "boa"
    blocks: Annotated[int, Meta(ge=1, le=100)] = 3
    boa: BoaSettings = BoaSettings()


class Ensemble(LearnsOnline, Model):
    """Experts and weights; `updated` goes on learning the weights, and the experts that learn online."""

    kind: ClassVar[str] = "ensemble"
    Parameters: ClassVar[type[msgspec.Struct]] = EnsembleParameters

    def _fresh(self) -> list[Model]:
        experts = self.parameters.experts
        return [model_kind(one.kind)(self.signature, one.parameters) for one in experts]

    def learn(self, rows: FloatArray, targets: FloatArray, seed: int) -> None:
        steps, half = targets.shape[1], len(rows) // 2
        parts = [part for part in np.array_split(np.arange(half, len(rows)), self.parameters.blocks) if len(part)]
        forecasts = []
        for part in parts:
            experts, seen = self._fresh(), max(1, int(part[0]) - steps)
            for expert in experts:
                expert.learn(rows[:seen], targets[:seen], seed)
            forecasts.append(np.stack([expert.forecast(rows[part], steps) for expert in experts], axis=1))
        experts = self._fresh()
        for expert in experts:
            expert.learn(rows, targets, seed)
        self.assemble(experts, np.concatenate(forecasts), targets[half:])

    def assemble(self, experts: Sequence[Model], forecasts: FloatArray, targets: FloatArray) -> None:
        """Take over fitted experts, and weigh them by forecasts (n, experts, steps) of rows that they had not seen."""
        self._experts = tuple(experts)
        self._boas: list[Boa] = []
        fixed = []
        for step in range(targets.shape[1]):
            every = with_random_walk(forecasts[:, :, step])
            if self.parameters.weights == "boa":
                boa = Boa(every.shape[1], self.parameters.boa)
                mix(every, targets[:, step], step + 1, boa=boa)
                self._boas.append(boa)
            else:
                fixed.append(RULES[self.parameters.weights](every, targets[:, step]).tolist())
        self._fixed: list[list[float]] = fixed
        self._mixing: FloatArray | None = None

    def step_weights(self, step: int) -> FloatArray:
        """Weights of the experts, the random walk the last, at a step from 0."""
        return self._boas[step].weights if self._boas else np.array(self._fixed[step])

    def forecast(self, rows: FloatArray, horizon: int) -> FloatArray:
        if self._mixing is None:
            self._mixing = np.array([self.step_weights(step) for step in range(self.signature.max_horizon)])
        weights = self._mixing[:horizon]
        values = np.zeros((len(rows), horizon))
        for place, expert in enumerate(self._experts):  # one by one: a sum in this order, whatever the batch
            values += weights[:, place] * expert.forecast(rows, horizon)
        return values

    def part(self) -> None:
        self._boas = [Boa(len(one.state.weights), one.settings, copy.deepcopy(one.state)) for one in self._boas]
        experts = tuple(copy.copy(expert) for expert in self._experts)
        for expert in experts:
            if isinstance(expert, LearnsOnline):
                expert.part()
        self._experts = experts

    def observe(self, row: FloatArray, targets: FloatArray) -> None:
        said = np.stack([expert.forecast(row[None], len(targets))[0] for expert in self._experts])
        for step, boa in enumerate(self._boas):
            if np.isfinite(targets[step]):
                boa.learn(boa.weights, np.append(said[:, step], 0.0), float(targets[step]))
        self._mixing = None
        for expert in self._experts:
            if isinstance(expert, LearnsOnline):
                expert.observe(row, targets)

    def weights(self) -> dict[str, bytes]:
        held = _Weights(self._fixed, [boa.state for boa in self._boas])
        files = {"ensemble.json": msgspec.json.encode(held)}
        for place, expert in enumerate(self._experts):
            files |= {f"{place}.{expert.kind}.{name}": content for name, content in expert.weights().items()}
        return files

    def restore(self, files: Mapping[str, bytes]) -> None:
        held = msgspec.json.decode(files["ensemble.json"], type=_Weights)
        self._fixed, self._mixing = held.fixed, None
        self._boas = [Boa(len(state.weights), self.parameters.boa, state) for state in held.boa]
        self._experts = tuple(self._fresh())
        for place, expert in enumerate(self._experts):
            start = f"{place}.{expert.kind}."
            expert.restore({name.removeprefix(start): files[name] for name in files if name.startswith(start)})


class _Weights(msgspec.Struct):
    fixed: list[list[float]]
    boa: list[BoaState]
