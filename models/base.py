"""What a model is, and the registry that finds every model file of this folder.

A model is one file with four methods: `learn`, `forecast`, `weights`, `restore`. The rest (a held-out tail that tells
how far off it is, confidence, intervals, checks of what comes in) is here, and the same for all.
"""

import copy
import importlib
import pkgutil
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Self

import msgspec
import numpy as np
import numpy.typing as npt

from evenhand.errors import EvenhandError, InvalidConfiguration
from evenhand.processors.inference import Answer
from evenhand.training.rating import Rating, RatingState, rate
from models.convert import convert, nearest
from models.signature import Signature

FloatArray = npt.NDArray[np.float64]
Heard = Callable[[int, float, float], None]  # round, squared error on what was learned, and on what was held out
HELD_OUT_FRACTION = 0.2
_MINIMUM_ROWS = 50
_LEAST = float(np.finfo(np.float64).tiny)

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
        self.ratings: tuple[Rating, ...] = ()
        # Squared error on what was learned and on what was held out, before the first round and after each; not saved.
        self.curve: list[tuple[float, float]] = []
        self._heard: Heard | None = None
        self._least_volatility = 0.0
        self._volatility_column = signature.volatility_column

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
        Confidence is the calibrated probability that the direction is right; intervals hold 90 % of outcomes. Both
        follow the volatility in the row, where a feature tells it. Raises Unpredictable.
        """
        rows = self._checked(rows, horizon)
        values = self.forecast(rows, horizon)
        ratings = self.ratings[:horizon]
        # Elementwise, and only what is rounded correctly wherever an element stands: no numpy function but sqrt.
        spread = self._spread(rows, horizon)
        reach = spread * [each.interval.finite_quantile() for each in ratings]
        scores = np.abs(values) / spread
        confidence: FloatArray = np.empty_like(values)
        for step, each in enumerate(ratings):
            confidence[:, step] = each.calibrator.state.fitted.probabilities_of(scores[:, step])
        confidence[values == 0] = 0.5
        lower, upper = (values - reach).tolist(), (values + reach).tolist()
        intervals = [list(zip(low, high, strict=True)) for low, high in zip(lower, upper, strict=True)]
        return Answer(values.tolist(), confidence.tolist(), intervals)

    def _spread(self, rows: FloatArray, horizon: int) -> FloatArray:
        known = self.volatility(rows, horizon)
        if known is None:
            return np.tile([each.interval.volatility for each in self.ratings[:horizon]], (len(rows), 1))
        return known

    def volatility(self, rows: FloatArray, horizon: int) -> FloatArray | None:
        """Volatility that is known with each row, shape (n, horizon), batch-invariant; None if only past errors tell.

        What a feature tells, unless a kind of model knows better.
        """
        if self._volatility_column is None:
            return None
        known = np.maximum(rows[:, [self._volatility_column]], self._least_volatility or _LEAST)
        return np.repeat(known, horizon, axis=1)

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

    def fit(self, rows: FloatArray, targets: FloatArray, seed: int = 0, heard: Heard | None = None) -> Self:
        """Learn from rows (n, features) in order of time and targets (n, max_horizon), NaN where not known yet.

        Learns on the first 80 % to measure, on the rest, how far off it is at each step; then on everything, and
        `heard` is told of each round of that. Rows between, whose targets reach into the rest, are left out at first.
        """
        rows, targets = self._table(rows, targets)
        steps, cut = targets.shape[1], int(len(rows) * (1 - HELD_OUT_FRACTION))
        known = np.isfinite(targets)
        if min(known[: max(0, cut - steps)].sum(axis=0).min(), known[cut:].sum(axis=0).min()) < _MINIMUM_ROWS:
            raise Unpredictable(f"{len(rows)} rows are too few to learn {steps} steps; give a longer history")
        self.learn(rows[: cut - steps], targets[: cut - steps], seed)
        self.rate_by(rows[cut:], self.forecast(rows[cut:], steps), targets[cut:])
        self._heard = heard
        self.learn(rows, targets, seed)
        self._heard = None
        return self

    def learned_round(self, learned: float, held_out: float) -> None:
        """Go on with the learning curve, for who learns in rounds."""
        self.curve.append((learned, held_out))
        if self._heard is not None:
            self._heard(len(self.curve) - 1, learned, held_out)

    def learn_only(self, rows: FloatArray, targets: FloatArray, seed: int = 0) -> Self:
        """Do what `fit` does, but do not ask how far off it is: for who judges its forecasts himself."""
        self.learn(*self._table(rows, targets), seed)
        return self

    def _table(self, rows: FloatArray, targets: FloatArray) -> tuple[FloatArray, FloatArray]:
        rows = np.ascontiguousarray(rows, dtype=np.float64)
        targets = np.ascontiguousarray(targets, dtype=np.float64)
        steps = self.signature.max_horizon
        if rows.shape != (len(rows), len(self.features)) or targets.shape != (len(rows), steps):
            expected = f"(n, {len(self.features)}) and (n, {steps})"
            raise Unpredictable(f"rows and targets have shapes {rows.shape} and {targets.shape}; expected {expected}")
        if not np.isfinite(rows).all() or np.isinf(targets).any():
            raise Unpredictable("the training table holds NaN or infinite features, or infinite targets")
        return rows, targets

    def rate_by(self, rows: FloatArray, values: FloatArray, targets: FloatArray) -> None:
        """Learn how far off it is from forecasts (n, steps) of rows that it had not seen, in order of time."""
        errors = targets - values
        # A target that never moves would make every interval empty and divide by nothing.
        self.residual_sd = tuple(max(_LEAST, float(sd)) for sd in np.sqrt(np.nanmean(errors**2, axis=0)))
        if (column := self._volatility_column) is not None:
            told, off = float(np.abs(rows[:, column]).mean()), max(self.residual_sd)
            self._least_volatility = max(_LEAST, 0.01 * told if told > 1e-6 * off else off)  # off: nothing has moved
        self.ratings = self._fresh_ratings(())
        known = self.volatility(rows, targets.shape[1])
        for step, rating in enumerate(self.ratings):
            rate(values[:, step], targets[:, step], step + 1, None if known is None else known[:, step], rating)

    def _fresh_ratings(self, states: Sequence[RatingState]) -> tuple[Rating, ...]:
        """Ratings that go on from their states, or know no more than the standard deviations."""
        ratings = tuple(map(Rating, states)) if states else tuple(Rating() for _ in self.residual_sd)
        for rating, sd in zip(ratings, self.residual_sd, strict=True):
            rating.interval.state.square = rating.interval.state.square or sd**2
        return ratings

    def updated(self, rows: FloatArray, targets: FloatArray) -> Self:
        """Return a model that knows these matured rows, too, which must be newer and in order; this one stays.

        Every model learns from them how far off it is. What LearnsOnline also learns what to answer. The
        same rows in any number of calls give the same bytes. NaN stands for a target that is not known.
        """
        steps = self.signature.max_horizon
        rows, targets = self._checked(rows, 1), np.asarray(targets, dtype=np.float64)
        if targets.shape != (len(rows), steps) or np.isinf(targets).any():
            raise Unpredictable(f"targets have shape {targets.shape}, or are infinite; NaN stands for one not known")
        newer = copy.copy(self)
        newer.ratings = tuple(Rating(copy.deepcopy(each.state)) for each in self.ratings)
        which: object = newer  # mypy finds no class that is both
        online = which if isinstance(which, LearnsOnline) else None
        if online:
            online.part()
        known = None if online else newer.forecast(rows, steps)
        for place, row in enumerate(rows):
            values = newer.forecast(row[None], steps)[0] if known is None else known[place]
            volatility = newer._spread(row[None], steps)[0]  # noqa: SLF001  its own copy
            for step in np.flatnonzero(np.isfinite(targets[place])).tolist():
                rating, spread = newer.ratings[step], float(volatility[step])
                rating.mature(rating.interval.issue(float(values[step]), spread), float(targets[place, step]))
            if online:
                online.observe(row, targets[place])
        return newer

    def plain_parameters(self) -> dict[str, Any]:
        """Return its parameters as plain values, defaults included."""
        plain: dict[str, Any] = msgspec.to_builtins(self.parameters)
        return plain

    def save(self) -> dict[str, bytes]:
        """Return what has been learned as files, by name. The same model gives the same bytes."""
        states = [each.state for each in self.ratings]
        learned = _Learned(self.residual_sd, self.plain_parameters(), states, self._least_volatility)
        return {"learned.json": msgspec.json.encode(learned), **self.weights()}

    @classmethod
    def load(cls, signature: Signature, files: Mapping[str, bytes]) -> Self:
        """Bring back the model that `save` wrote."""
        learned = msgspec.json.decode(files["learned.json"], type=_Learned)
        model = cls(signature, learned.parameters)
        model.residual_sd, model._least_volatility = learned.residual_sd, learned.least_volatility
        model.ratings = model._fresh_ratings(learned.ratings)
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


class LearnsOnline(ABC):
    """What a model that learns online defines besides."""

    @abstractmethod
    def part(self) -> None:
        """Make what `observe` changes a copy of its own."""

    @abstractmethod
    def observe(self, row: FloatArray, targets: FloatArray) -> None:
        """Learn from one matured row; a target is NaN where it is not known."""


class _Learned(msgspec.Struct):
    residual_sd: tuple[float, ...]
    parameters: dict[str, Any]
    ratings: list[RatingState] = []
    least_volatility: float = 0.0


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
