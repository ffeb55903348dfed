"""Progress of what takes long: bars on a terminal, lines elsewhere; always on stderr."""

import contextlib
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

from evenhand.cli.output import note

if TYPE_CHECKING:
    from trainer.progress import Progress


@contextlib.contextmanager
def progress() -> "Iterator[Progress]":
    """Who listens to a training run, for as long as it takes."""
    from trainer.progress import Progress, Told

    if not sys.stderr.isatty():
        yield Told(note)
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as RichProgress

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with RichProgress(*columns, console=Console(stderr=True)) as bars:
        task = bars.add_task("folds", total=None)

        class Bars(Progress):
            """A bar over all folds of all models."""

            def tell(self, text: str) -> None:
                bars.console.print(text, highlight=False)

            def fold(self, model: str, done: int, total: int) -> None:
                bars.update(task, description=model, completed=done, total=total)

        yield Bars()
