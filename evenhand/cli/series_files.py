"""`--beside NAME=FILE`: the candles of other series, which features read."""

from pathlib import Path

import typer


def series_files(given: list[str] | None) -> dict[str, Path]:
    """Files by the name of the series; BadParameter says how to write one."""
    found: dict[str, Path] = {}
    for text in given or ():
        name, is_there, file = text.partition("=")
        if not (name and is_there and file):
            raise typer.BadParameter(f"--beside {text!r} names no file: write NAME=FILE, such as market=market.parquet")
        if name in found:
            raise typer.BadParameter(f"--beside names {name} twice: give each series one file")
        found[name] = Path(file)
    return found
