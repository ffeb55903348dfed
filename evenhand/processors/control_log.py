"""Which control holds for which model: the newest by (time, id), whatever order the copies come in."""

from collections.abc import Iterable, Iterator

from evenhand.codec import decoder, encode
from evenhand.events import ControlChanged

PREFIX = b"control/"


def age(control: ControlChanged) -> tuple[int, str]:
    """What orders the controls of a model."""
    return control.time, control.id


class ControlLog:
    """The control that holds for each model, as state rows."""

    def __init__(self) -> None:
        self.holding: dict[str, ControlChanged] = {}

    def load(self, rows: Iterable[tuple[bytes, bytes]]) -> None:
        """Take over rows; others than its own are passed over."""
        for key, value in rows:
            if key.startswith(PREFIX):
                control = decoder(ControlChanged).decode(value)
                self.holding[control.model] = control

    def rows(self) -> Iterator[tuple[bytes, bytes]]:
        """A row for each model."""
        for control in self.holding.values():
            yield PREFIX + control.model.encode(), encode(control)

    def take(self, control: ControlChanged) -> dict[bytes, bytes | None]:
        """Let a control hold if it is newer; the rows that changed."""
        held = self.holding.get(control.model)
        if held is not None and age(held) >= age(control):
            return {}
        self.holding[control.model] = control
        return {PREFIX + control.model.encode(): encode(control)}
