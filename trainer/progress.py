"""What a training run tells while it runs."""

from collections.abc import Callable
from typing import Protocol

Tell = Callable[[str], None]


class Progress(Protocol):
    """Who listens. `fold` is called once for each fold of each model; `done` of `total` are behind us then."""

    def tell(self, text: str) -> None: ...
    def fold(self, model: str, done: int, total: int) -> None: ...


class Told:
    """Tells in words only."""

    def __init__(self, tell: Tell) -> None:
        """Lines go to `tell`."""
        self.tell = tell

    def fold(self, model: str, done: int, total: int) -> None:
        """One line a fold."""
        self.tell(f"{model}: a fold is done, {done} of {total}")
