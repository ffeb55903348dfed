"""What a training run tells while it runs."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from models.base import Model
    from models.training import Table

Tell = Callable[[str], None]


class Progress:
    """Who listens; this one does not. Models have the names that they were asked for by."""

    def tell(self, text: str) -> None:
        """Say a line."""

    def fold(self, model: str, done: int, total: int) -> None:
        """Say that one more fold of any model is done."""

    def scored(self, model: str, fold: int, errors: Mapping[str, float]) -> None:
        """Say how good a model was in a fold: errors of step 1."""

    def learning(self, model: str, number: int, learned: float, held_out: float) -> None:
        """Say how far a model that will be saved has come: squared errors after so many rounds, 0 before the first."""

    def learned(self, model: str, version: str, fitted: "Model", table: "Table") -> None:
        """Say that a version was saved, and what was learned from which table."""


class Told(Progress):
    """Tells in words only."""

    def __init__(self, tell: Tell) -> None:
        """Lines go to `tell`."""
        self._tell = tell

    def tell(self, text: str) -> None:
        """Say a line."""
        self._tell(text)

    def fold(self, model: str, done: int, total: int) -> None:
        """One line a fold."""
        self.tell(f"{model}: a fold is done, {done} of {total}")
