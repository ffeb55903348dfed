"""Where the folders lie that are run and never installed: `agents`, `adapters`, `models`, `config`, `data`.

An editable install, a container image and a checkout as the current folder have them on the path. Elsewhere
EVENHAND_ROOT names the checkout.
"""

import functools
import os
import sys
from pathlib import Path

from evenhand.errors import InvalidConfiguration

VARIABLE = "EVENHAND_ROOT"
_MARK = Path("agents") / "app.py"


@functools.cache
def root() -> Path:
    """The checkout: EVENHAND_ROOT, else around this package, else the current folder. It is put on the path."""
    named = os.environ.get(VARIABLE)
    places = [Path(named)] if named else [Path(__file__).parents[2], Path.cwd(), *map(Path, sys.path)]
    for place in places:
        found = place.absolute()
        if (found / _MARK).is_file():
            if str(found) not in sys.path:
                sys.path.insert(0, str(found))
            return found
    if named:
        raise InvalidConfiguration(f"{VARIABLE}={named} has no {_MARK}: name the folder of evenhand's checkout")
    raise InvalidConfiguration(
        f"{_MARK} is found neither beside the package nor in {Path.cwd()}: run from evenhand's checkout, or set "
        f"{VARIABLE} to it"
    )


def child_environment() -> dict[str, str]:
    """Our environment, with the checkout on the path of a child."""
    place = str(root())
    others = [part for part in os.environ.get("PYTHONPATH", "").split(os.pathsep) if part and part != place]
    return {**os.environ, "PYTHONPATH": os.pathsep.join([place, *others]), VARIABLE: place}
