"""What commands print: results on stdout, as text or JSON; everything else on stderr."""

import sys
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

Json = Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")]


class _Quiet:
    on = False


def be_quiet() -> None:
    """Print no notes from here on."""
    _Quiet.on = True


def say(text: str) -> None:
    """A line of the result."""
    sys.stdout.write(text + "\n")


def note(text: str) -> None:
    """A line beside the result, for people."""
    if not _Quiet.on:
        sys.stderr.write(text + "\n")
        sys.stderr.flush()


def complain(text: str) -> None:
    """Why a command fails."""
    sys.stderr.write(f"evenhand: {text}\n")
    sys.stderr.flush()


def as_json(value: Any, *, indent: int = 2) -> str:
    """JSON of plain values and Structs; an `indent` of 0 gives one line."""
    import msgspec

    raw = msgspec.json.encode(value)
    return (msgspec.json.format(raw, indent=indent) if indent else raw).decode()


def result(value: Any, json: bool, text: Callable[[], str]) -> None:
    """Print a result in the form that was asked for."""
    say(as_json(value) if json else text())


def table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Columns under their names; numbers to the right.

    >>> print(table(["topic", "lag"], [["a.v1", 5], ["outcomes.v1", 12]]))
    topic        lag
    a.v1           5
    outcomes.v1   12
    """
    found = [list(row) for row in rows]
    cells = [[_shown(cell) for cell in row] for row in (columns, *found)]
    widths = [max(len(row[place]) for row in cells) for place in range(len(columns))]
    right = [
        all(isinstance(row[place], (int, float)) for row in found) and bool(found) for place in range(len(columns))
    ]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if to_right else cell.ljust(width)
            for cell, width, to_right in zip(row, widths, right, strict=True)
        ).rstrip()
        for row in cells
    )


def when(time_ms: int | None) -> str:
    """A time for people.

    >>> when(1542153600123), when(None)
    ('2018-11-14 00:00:00Z', '-')
    """
    return "-" if time_ms is None else datetime.fromtimestamp(time_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def _shown(cell: object) -> str:
    if cell is None:
        return "-"
    if isinstance(cell, bool):
        return "yes" if cell else "no"
    return f"{cell:g}" if isinstance(cell, float) else str(cell)
