"""What a feature is, and the registry that finds every file of this folder."""

import importlib
import pkgutil
from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Generic, TypeVar

import msgspec
import numpy as np
import numpy.typing as npt

from evenhand.errors import InvalidConfiguration
from models.candles import Candle, Candles
from models.convert import convert, nearest

FloatArray = npt.NDArray[np.float64]
State = TypeVar("State")
NAN = float("nan")

_kinds: dict[str, type["AnyFeature"]] = {}


class Feature(msgspec.Struct, Generic[State], frozen=True, forbid_unknown_fields=True):
    """One number a candle, computed from this candle and those before it; its fields are its parameters.

    A value is known when its candle closes. Both forms see only unbroken runs of candles (the engine starts anew after
    a gap) and give NaN for the first `warm_up` candles of a run.
    """

    kind: ClassVar[str] = ""

    def __init_subclass__(cls, **options: Any) -> None:
        """Register the feature under its `kind`."""
        super().__init_subclass__(**options)
        if cls.kind:
            if cls.kind in _kinds and _kinds[cls.kind].__qualname__ != cls.__qualname__:
                raise TypeError(f"two features are called {cls.kind!r}: {_kinds[cls.kind]} and {cls}")
            _kinds[cls.kind] = cls

    @property
    @abstractmethod
    def name(self) -> str:
        """What requests and models call this feature, parameters included."""

    @property
    def reads(self) -> tuple[str, ...]:
        """Return the names of the other series whose candles it reads."""
        return ()

    @property
    @abstractmethod
    def warm_up(self) -> int:
        """How many candles of a run have no value yet."""

    @abstractmethod
    def start(self) -> State:
        """Return the state before the first candle of a run, a msgspec Struct; `step` changes it in place."""

    @abstractmethod
    def step(self, state: State, candle: Candle) -> float:
        """Take the next candle into the state and return the value that is known when the candle closes."""

    @abstractmethod
    def batch(self, candles: Candles) -> FloatArray:
        """Values for a whole run at once: the same numbers as `step`, shape (len(candles),)."""

    def dump(self, state: State) -> bytes:
        """Write a state as JSON, to go on from it after a restart."""
        return msgspec.json.encode(state)

    def restore(self, raw: bytes) -> State:
        """Read a state that `dump` wrote."""
        return msgspec.json.decode(raw, type=type(self.start()))


AnyFeature = Feature[Any]


def feature_kinds() -> dict[str, type[AnyFeature]]:
    """Return every feature of this folder by its kind."""
    package = importlib.import_module("models.features")
    for module in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"models.features.{module.name}")
    return dict(sorted(_kinds.items()))


def make_feature(declaration: Mapping[str, Any], where: str = "feature") -> AnyFeature:
    """Make the feature that a configuration declares: its `kind`, and its parameters beside it."""
    kinds = feature_kinds()
    kind = declaration.get("kind")
    if kind not in kinds:
        raise InvalidConfiguration(f"{where}: there is no feature of kind {kind!r}{nearest(str(kind), kinds)}")
    parameters = {name: value for name, value in declaration.items() if name != "kind"}
    return convert(parameters, kinds[kind], f"{where} ({kind})")
