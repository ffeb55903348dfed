"""What every drift detector is: parameters, `start`, `update` on a batch, `verdict`; its state is plain JSON."""

from typing import Any, ClassVar, Generic, Literal, TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from evenhand.errors import InvalidConfiguration, InvalidEvent

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Takes = Literal["numbers", "categories", "losses", "errors"]
REGISTRY: dict[str, "type[Detector[Any]]"] = {}


class State(msgspec.Struct, frozen=True, kw_only=True):
    """What a detector has seen. `alarm_at` is the number of events at which it fired; then it waits to be started."""

    seen: int = 0
    alarm_at: int | None = None


class Finding(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What changed in one feature: the cause, how much, and how many events ago, as estimated.

    `effect_size` is in standard deviations of the cause's score under the reference, or in the metric's own unit
    where the detector says so; its sign is the direction.
    """

    feature: str = ""
    cause: str = ""
    statistic: float = 0.0
    effect_size: float = 0.0
    events_ago: int = 0


class Verdict(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Whether there is drift: `statistic` has reached `threshold`; `findings` begin with the clearest."""

    drifted: bool
    statistic: float
    threshold: float
    seen: int
    alarm_at: int | None = None
    findings: tuple[Finding, ...] = ()


S = TypeVar("S", bound=State)


class Detector(msgspec.Struct, Generic[S], frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Parameters of a detector. It keeps nothing: all that it knows is in the state that it is given.

    A verdict of drift stays until the detector is started again; what comes in between is not looked at.
    `needs_reference` says whether `start` wants a sample of what is normal, or learns it from the stream itself.
    `batch_multiple`: an update on a and b together is that on a, then b, where a has a multiple of so many events.
    """

    kind: ClassVar[str]
    takes: ClassVar[Takes]
    needs_reference: ClassVar[bool]
    state: ClassVar[type[State]]

    def __init_subclass__(cls) -> None:
        kind = cls.__dict__.get("kind")
        if kind is None:
            return
        if kind in REGISTRY and REGISTRY[kind].__module__ != cls.__module__:
            raise TypeError(f"two drift detectors are named {kind!r}: rename one")
        REGISTRY[kind] = cls

    @property
    def batch_multiple(self) -> int:
        return 1

    def start(self, reference: Any = None) -> S:
        """The state before the first event, (again) armed against a reference."""
        raise TypeError(f"{type(self).__name__} defines no start")

    def update(self, state: S, batch: Any) -> S:
        """The state after a batch of events, in their order: an array of shape (n,), or a list of categories."""
        raise TypeError(f"{type(self).__name__} defines no update")

    def verdict(self, state: S) -> Verdict:
        """What the state says."""
        raise TypeError(f"{type(self).__name__} defines no verdict")


def numbers(batch: Any) -> Floats:
    """A batch as finite numbers, shape (n,); InvalidEvent otherwise.

    >>> numbers([1, 2.5])
    array([1. , 2.5])
    """
    values = np.asarray(batch, np.float64)
    if values.ndim != 1:
        raise InvalidEvent(f"a batch has shape (n,), this one has {values.shape}: give one feature's values")
    if not np.isfinite(values).all():
        raise InvalidEvent("a batch holds NaN or infinity: leave such events out, and count them as missing")
    return values


def enough(reference: Any, least: int, kind: str) -> Any:
    """A reference of at least so many events."""
    if reference is None or len(reference) < least:
        given = 0 if reference is None else len(reference)
        raise InvalidConfiguration(f"{kind} wants a reference of at least {least} events, {given} are given")
    return reference
