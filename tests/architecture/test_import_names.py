"""`agents`, `models` and the other flat folders are ours: other people's distributions have such names too."""

import importlib.metadata
import importlib.util
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NAMES = ("adapters", "agents", "config", "evenhand", "gateway", "models", "reports", "schemas", "trainer")


@pytest.mark.parametrize("name", NAMES)
def test_a_flat_name_is_a_folder_of_this_repository(name: str) -> None:
    found = importlib.util.find_spec(name)
    if found is None:
        assert not (ROOT / name).exists(), f"{name}/ is there but cannot be imported: is {ROOT} on the path?"
        return
    places = {Path(place) for place in found.submodule_search_locations or [found.origin or ""]}
    assert places == {ROOT / name}, (
        f"import {name} finds {sorted(map(str, places))}: something else is first on the path"
    )


@pytest.mark.parametrize("name", NAMES)
def test_no_installed_distribution_has_a_flat_name(name: str) -> None:
    others = set(importlib.metadata.packages_distributions().get(name, [])) - {"evenhand"}
    assert not others, f"{sorted(others)} also bring a package {name!r}, which hides ours outside this folder"


def test_the_wheel_has_no_flat_names() -> None:
    files = importlib.metadata.files("evenhand") or []
    packages = {file.parts[0] for file in files if file.suffix == ".py" and len(file.parts) > 1}
    assert packages <= {"evenhand"}, f"installing evenhand installs {sorted(packages)}: only evenhand may be"
