"""An export goes into a new folder, and is read whole: what is amiss is said, with what to do."""

import asyncio
from pathlib import Path
from typing import Any, cast

import pytest

from adapters.exports import read_export, write_export
from evenhand.errors import EvenhandError


@pytest.mark.parametrize(
    ("place", "said"), [("file", "cannot be made"), ("file/below", "cannot be made"), ("", "is not empty")]
)
def test_a_folder_that_is_none_or_not_empty_is_refused(tmp_path: Path, place: str, said: str) -> None:
    (tmp_path / "file").write_text("kept")
    nothing = cast("Any", None)
    with pytest.raises(EvenhandError, match=said):
        asyncio.run(write_export(nothing, nothing, tmp_path / place, ["outcomes.v1"], 0))
    assert (tmp_path / "file").read_text() == "kept"


def test_a_partition_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(EvenhandError, match=r"outcomes\.v1/1\.ndjson cannot be read .*: export again"):
        next(read_export(tmp_path, "outcomes.v1", 1))
