"""What a model is, and the registry that finds every model file of this folder.

A model is one file with four methods: `learn`, `forecast`, `weights`, `restore`. The rest (a held-out tail that tells
how far off it is, confidence, intervals, checks of what comes in) is here, and the same for all.
"""

import importlib
import math
import pkgutil
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Self

import msgspec
import numpy as np
import numpy.typing as npt

from evenhand.errors import EvenhandError, InvalidConfiguration
from evenhand.processors.inference import Answer
from models.convert import convert, nearest
from models.signature import Signature

FloatArray = npt.NDArray[np.float64]
COVERAGE_90 = 1.6448536269514722  # standard deviations of a Normal, either side of its mean, that hold 90 %
HELD_OUT_FRACTION = 0.2
_MINIMUM_ROWS = 50

_kinds: dict[str, type["Model"]] = {}


class NoParameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The parameters of a model that has none."""


class Unpredictable(EvenhandError, ValueError):
    """Rows that no model can answer. The message names what is wrong with which of them."""


class Model(ABC):
    """One kind of model. An instance is fitted by `fit` or brought back by `load`, and never changes after that."""

    kind: ClassVar[str] = ""
    Parameters: ClassVar[type[msgspec.Struct]] = NoParameters

    def __init_subclass__(cls, **options: Any) -> None:
        """Register the model under its `kind`."""
        super().__init_subclass__(**options)
        if "kind" in cls.__dict__:
            if cls.kind in _kinds:
                raise TypeError(f"two models are called {cls.kind!r}: {_kinds[cls.kind]} and {cls}")
            _kinds[cls.kind] = cls

    def __init__(self, signature: Signature, parameters: Mapping[str, Any] | None = None) -> None:
        """Make a model that has learned nothing yet; unknown parameters are refused."""
        self.signature = signature
        self.parameters: Any = convert(dict(parameters or {}), self.Parameters, f"parameters of {self.kind}")
        self.residual_sd: tuple[float, ...] = ()

    # What the inference agent reads.

    @property
    def features(self) -> tuple[str, ...]:
        """The names of the columns of a row, in order."""
        return self.signature.features

    @property
    def horizon_s(self) -> int:
        """Seconds of one step."""
        return self.signature.horizon_s

    @property
    def aligned(self) -> bool:
        """Whether targets lie on multiples of a step, so that all requests of one step share an outcome."""
        return self.signature.aligned

    @property
    def reference_price(self) -> str | None:
        """The name of the optional extra feature that turns values into prices."""
        return self.signature.reference_price

    def predict(self, rows: FloatArray, horizon: int = 1) -> Answer:
        """Answer rows of shape (n, features) for steps 1 to `horizon`.

        Batch-invariant: what row i gets does not depend, to the byte, on its neighbours or on how many there are.
        Confidence is the probability that the direction is right and intervals hold 90 %, both for errors that are
        Normal with the standard deviation of the held-out tail. Raises Unpredictable.
        """
        rows = self._checked(rows, horizon)
        values = self.forecast(rows, horizon)
        sds = self.residual_sd[:horizon]
        # math, not numpy: numpy's vectorised functions may round the last elements of an array in another way. What
        # is left to numpy is rounded correctly wherever an element stands.
        standardised = np.abs(values) * [1 / (sd * math.sqrt(2)) for sd in sds]
        erf = np.array(list(map(math.erf, standardised.ravel().tolist()))).reshape(values.shape)
        reach = np.array([COVERAGE_90 * sd for sd in sds])
        confidence = (0.5 + 0.5 * erf).tolist()
        lower, upper = (values - reach).tolist(), (values + reach).tolist()
        intervals = [list(zip(low, high, strict=True)) for low, high in zip(lower, upper, strict=True)]
        return Answer(values.tolist(), confidence, intervals)

    def _checked(self, rows: FloatArray, horizon: int) -> FloatArray:
        """Rows in C order (the order of summation hangs on it), or a reason why there is no answer."""
        if not self.residual_sd:
            raise Unpredictable(f"this {self.kind} model has learned nothing yet; fit or load it first")
        if not 1 <= horizon <= self.signature.max_horizon:
            raise Unpredictable(f"horizon is {horizon}; this model answers 1 to {self.signature.max_horizon} steps")
        rows = np.ascontiguousarray(rows, dtype=np.float64)
        if rows.ndim != 2 or rows.shape[1] != len(self.features):
            raise Unpredictable(f"rows have shape {rows.shape}; expected (n, {len(self.features)})")
        if not np.isfinite(rows).all():
            row, column = np.argwhere(~np.isfinite(rows))[0]
            raise Unpredictable(f"feature {self.features[column]!r} of row {row} is {rows[row, column]}")
        return rows

    def fit(self, rows: FloatArray, targets: FloatArray, seed: int = 0) -> Self:
        """Learn from rows (n, features) in order of time and targets (n, max_horizon), NaN where not known yet.

        Learns on the first 80 % to measure, on the rest, how far off it is at each step; then on everything. The rows
        between, whose targets reach into the rest, are left out of the first part.
        """
        rows = np.ascontiguousarray(rows, dtype=np.float64)
        targets = np.ascontiguousarray(targets, dtype=np.float64)
        steps = self.signature.max_horizon
        if rows.shape != (len(rows), len(self.features)) or targets.shape != (len(rows), steps):
            expected = f"(n, {len(self.features)}) and (n, {steps})"
            raise Unpredictable(f"rows and targets have shapes {rows.shape} and {targets.shape}; expected {expected}")
        if not np.isfinite(rows).all() or np.isinf(targets).any():
            raise Unpredictable("the training table holds NaN or infinite features, or infinite targets")
        cut = int(len(rows) * (1 - HELD_OUT_FRACTION))
        known = np.isfinite(targets)
        if min(known[: max(0, cut - steps)].sum(axis=0).min(), known[cut:].sum(axis=0).min()) < _MINIMUM_ROWS:
            raise Unpredictable(f"{len(rows)} rows are too few to learn {steps} steps; give a longer history")
        self.learn(rows[: cut - steps], targets[: cut - steps], seed)
        errors = targets[cut:] - self.forecast(rows[cut:], steps)
        # A target that never moves would make every interval empty and divide by nothing.
        floor = np.finfo(np.float64).tiny
        self.residual_sd = tuple(max(floor, float(sd)) for sd in np.sqrt(np.nanmean(errors**2, axis=0)))
        self.learn(rows, targets, seed)
        return self

    def save(self) -> dict[str, bytes]:
        """Return what has been learned as files, by name. The same model gives the same bytes."""
        learned = {"residual_sd": self.residual_sd, "parameters": msgspec.to_builtins(self.parameters)}
        return {"learned.json": msgspec.json.format(msgspec.json.encode(learned), indent=1), **self.weights()}

    @classmethod
    def load(cls, signature: Signature, files: Mapping[str, bytes]) -> Self:
        """Bring back the model that `save` wrote."""
        learned = msgspec.json.decode(files["learned.json"], type=_Learned)
        model = cls(signature, learned.parameters)
        model.residual_sd = learned.residual_sd
        model.restore(files)
        return model

    # What a kind of model defines.

    @abstractmethod
    def learn(self, rows: FloatArray, targets: FloatArray, seed: int) -> None:
        """Learn anew from a checked table; a target is NaN where it is not known."""

    @abstractmethod
    def forecast(self, rows: FloatArray, horizon: int) -> FloatArray:
        """Values for checked rows in C order, shape (n, horizon), batch-invariant."""

    @abstractmethod
    def weights(self) -> dict[str, bytes]:
        """Return what `learn` found, as files by name: JSON or a library's own text, never pickle."""

    @abstractmethod
    def restore(self, files: Mapping[str, bytes]) -> None:
        """Take over what `weights` wrote."""


class _Learned(msgspec.Struct):
    residual_sd: tuple[float, ...]
    parameters: dict[str, Any]


def model_kinds() -> dict[str, type[Model]]:
    """Return every model of this folder by its kind."""
    package = importlib.import_module("models")
    for module in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"models.{module.name}")
    return dict(sorted(_kinds.items()))


def model_kind(kind: str) -> type[Model]:
    """Return the model of that kind; a misspelt one gets a hint."""
    kinds = _kinds if kind in _kinds else model_kinds()
    if kind not in kinds:
        raise InvalidConfiguration(f"there is no model of kind {kind!r}{nearest(kind, kinds)}")
    return kinds[kind]
