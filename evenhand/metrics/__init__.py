"""Metrics of predictions, one a file: adding a file adds a metric."""

from importlib import import_module
from pkgutil import iter_modules

from evenhand.errors import InvalidConfiguration
from evenhand.metrics.base import REGISTRY, Loss

for _module in iter_modules(__path__):
    import_module(f"{__name__}.{_module.name}")


def loss(name: str) -> Loss:
    """The loss of a name.

    >>> loss("squared_error").name
    'squared_error'
    """
    if name not in REGISTRY:
        raise InvalidConfiguration(f"no metric is named {name!r}: these are {sorted(REGISTRY)}")
    return REGISTRY[name]()


__all__ = ["Loss", "loss"]
