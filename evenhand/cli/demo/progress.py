"""Shows how far a demo has come, on stderr: a live bar on a terminal, a line now and then elsewhere."""

import sys
from types import TracebackType
from typing import Any, Self

from evenhand.alerts.payload import alert_line
from evenhand.cli.demo.driver import Standing
from evenhand.cli.demo.summary import drift_line
from evenhand.cli.output import note, when

_LINES = 10


class Progress:
    """`say` names a step, `tell` shows a standing."""

    def __init__(self) -> None:
        self._bar: Any = None
        self._task: Any = None
        self._decisions = self._signals = self._next_line = 0
        self._alerts: set[str] = set()

    def __enter__(self) -> Self:
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

            self._bar = Progress(
                SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[stand]}"),
                TimeElapsedColumn(), console=Console(stderr=True), transient=True,
            )  # fmt: skip
            self._task = self._bar.add_task("starting", total=None, stand="")
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def say(self, text: str) -> None:
        """A step before the play."""
        if self._bar is None:
            note(text)
        else:
            self._bar.update(self._task, description=text)

    def tell(self, at: Standing) -> None:
        """Where the play stands; decisions that are no `continue` get a line of their own."""
        for decision in at.decisions[self._decisions :]:
            if decision.action != "continue":
                self._line(f"{when(decision.time)}  {decision.action}: {'; '.join(decision.reasons)}")
        self._decisions = len(at.decisions)
        for signal in at.drift[self._signals :]:
            self._line(f"{when(signal.time)}  {drift_line(signal)}")
        self._signals = len(at.drift)
        for alert in at.alerts:
            if alert.id not in self._alerts:
                self._alerts.add(alert.id)
                self._line(f"{when(alert.time)}  {alert_line(alert)}")
        stand = f"{at.counts.matured:,} predictions matured, {len(at.decisions)} decisions"
        if self._bar is not None:
            self._bar.update(
                self._task, description="replaying hours", completed=at.hours, total=at.of_hours, stand=stand
            )
        elif at.hours * _LINES >= self._next_line * at.of_hours:
            self._next_line = at.hours * _LINES // at.of_hours + 1
            note(f"{at.hours:,} of {at.of_hours:,} hours replayed: {stand}")

    def _line(self, text: str) -> None:
        if self._bar is None:
            note(text)
        else:
            self._bar.console.print(text, highlight=False, markup=False)
