"""The calls of the document that evenhand was asked for, under their own names, a theme a file.

`from evenhand.client.examples import create_experiment_manager` finds a name in whichever file has it.
"""

import importlib
import pkgutil
from typing import Any


def __getattr__(name: str) -> Any:
    if not name.startswith("_"):
        for module in pkgutil.iter_modules(__path__):
            found = importlib.import_module(f"{__name__}.{module.name}")
            if name in found.__all__:
                return getattr(found, name)
    raise AttributeError(f"{__name__} has no {name}")
