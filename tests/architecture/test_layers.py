"""The rules about who may import whom bite: each is shown a file that breaks it."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("copy")
    for name in ("agents", "trainer", "adapters", "models", "evenhand"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", folder)
    return folder


@pytest.mark.parametrize(
    ("place", "line"),
    [
        ("evenhand/processors/wrong.py", "import socket"),
        ("evenhand/experiments/wrong.py", "import time"),
        ("evenhand/metrics/wrong.py", "from adapters import errors"),
        ("evenhand/processors/wrong.py", "from evenhand.client import now_ms"),
        ("models/wrong.py", "import aiokafka"),
        ("models/wrong.py", "from adapters import errors"),
        ("adapters/wrong.py", "import agents.registry"),
        ("models/wrong.py", "import trainer.settings"),
    ],
)
def test_a_forbidden_import_is_found(copy: Path, place: str, line: str) -> None:
    wrong = copy / place
    wrong.write_text(f"{line}\n")
    try:
        found = subprocess.run(
            [BIN / "lint-imports", "--no-cache"], cwd=copy, capture_output=True, text=True, check=False
        )
    finally:
        wrong.unlink()
    assert found.returncode == 1, found.stdout
    assert f"{place.removesuffix('.py').replace('/', '.')} ->" in found.stdout


@pytest.mark.parametrize(
    "code",
    [
        "import time\n\nNOW = time.time()\n",
        "from datetime import UTC, datetime\n\nNOW = datetime.now(UTC)\n",
        "import random\n\nCHANCE = random.random()\n",
        "import os\n\nHOME = os.environ['HOME']\n",
    ],
)
def test_the_pure_part_has_no_clock_no_chance_and_no_environment(code: str) -> None:
    assert "TID251" in _lint("evenhand/processors/wrong.py", code)
    assert "TID251" not in _lint("adapters/right.py", code)


def _lint(place: str, code: str) -> str:
    done = subprocess.run(
        [BIN / "ruff", "check", "--no-cache", "--output-format", "concise", "--stdin-filename", place, "-"],
        cwd=ROOT, input=code, capture_output=True, text=True, check=False,
    )  # fmt: skip
    return done.stdout
