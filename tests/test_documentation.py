"""What the documentation shows works, and where it points to is there."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from adapters.run_state import read_state
from tests.documents import DOCUMENTS, ROOT, Block, blocks, headings, links

RUN = {"sh": ["bash", "-euo", "pipefail", "-c"], "python": [sys.executable, "-c"]}
SHOWN = {"", "text", "mermaid"}  # nothing that could be run
BLOCKS = [block for document in DOCUMENTS for block in blocks(document)]
TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
_MAKE = re.compile(r"^(?:\w+=\S+ )*make ([a-z-]+)")


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, dict[str, str]]]:
    """An empty folder and an environment to try things in. What was brought up there is taken down."""
    folder = tmp_path_factory.mktemp("documentation")
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("EVENHAND_")},
        "EVENHAND_HOME": str(folder / "var"),
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
    }
    yield folder, environment
    down = ["evenhand", "down"]
    subprocess.run(down, cwd=folder, env=environment, check=False, capture_output=True, timeout=90)


@pytest.mark.parametrize("block", BLOCKS, ids=str)
@pytest.mark.timeout(300)
def test_an_example_works(block: Block, elsewhere: tuple[Path, dict[str, str]]) -> None:
    folder, environment = elsewhere
    if block.language == "json":
        json.loads(block.text)
    elif block.language == "yaml":
        yaml.safe_load(block.text)
    elif block.language in RUN:
        code = _runnable(block)
        if "KAFKA_BOOTSTRAP_SERVERS" in code:
            environment = {**environment, "KAFKA_BOOTSTRAP_SERVERS": _bootstrap(folder)}
        done = subprocess.run(
            [*RUN[block.language], code],
            cwd=folder, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
            timeout=280,
        )  # fmt: skip
        assert done.returncode == 0, f"{block} ended with status {done.returncode}:\n{done.stdout}\n{done.stderr}"
    else:
        assert block.language in SHOWN, f"{block}: nothing says how to try {block.language!r}"


def _runnable(block: Block) -> str:
    """The block without what the continuous integration runs anyway (make) and what prepares a user's own shell."""
    lines = []
    for line in block.text.splitlines():
        if made := _MAKE.match(line):
            assert made[1] in TARGETS, f"{block}: there is no target {made[1]!r}"
        elif not line.startswith(("export PATH=", "source ")):
            lines.append(line)
    return "\n".join(lines)


def _bootstrap(folder: Path) -> str:
    """The broker that an earlier block brought up."""
    state = read_state(folder / "var")
    assert state is not None, "no earlier block of the document has brought anything up"
    return state.environment["KAFKA_BOOTSTRAP_SERVERS"]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_link_leads_somewhere(document: Path) -> None:
    for link in links(document):
        if link.startswith(("http:", "https:")):
            continue
        place, _, heading = link.partition("#")
        target = (document.parent / place).resolve() if place else document
        assert target.exists(), f"{document.name} links to {link}, which is not there"
        assert not heading or heading in headings(target), f"{document.name} links to {link}: no such heading"


def test_the_changelog_has_what_comes_next() -> None:
    assert "## [Unreleased]" in (ROOT / "CHANGELOG.md").read_text()


def test_readme_names_the_two_commands() -> None:
    first = next(blocks(ROOT / "README.md"))
    assert [line.split("#")[0].strip() for line in first.text.splitlines()] == ["make demo", "make test"]
