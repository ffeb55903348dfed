"""What agents behind the entry share: a watermark over named sources, a tick when it moves, controls passed on."""

from collections.abc import Iterable, Iterator

import msgspec

from evenhand.codec import encode
from evenhand.envelope import cloud_headers, header
from evenhand.epochs import Watermark
from evenhand.events import ControlChanged, Ticked
from evenhand.processors.base import Record, Row
from evenhand.processors.entry import tick_row

TICKS_ROW = b"ticks"


class InBand:
    """The ticks that one partition of an agent has heard, and the ticks and controls that it passes on.

    `told` is the watermark of which the agent's readers know.
    """

    def __init__(self, sources: Iterable[str], name: str) -> None:
        self.name, self._sources = name, tuple(sources)
        self.watermark = Watermark(self._sources)
        self.told = self.watermark.value
        self._changed = False

    def load(self, rows: Iterable[tuple[bytes, bytes]]) -> None:
        """Take over rows; others than its own are passed over."""
        for key, value in rows:
            if key == TICKS_ROW:
                self.watermark = Watermark(self._sources, msgspec.json.decode(value, type=dict[str, int]))
                self.told = self.watermark.value

    def rows(self) -> Iterator[tuple[bytes, bytes]]:
        """One row."""
        yield TICKS_ROW, msgspec.json.encode(self.watermark.ticks)

    def hear(self, tick: Ticked, source: str = "") -> bool:
        """Take a tick (of the source that it names, unless another is given); whether the watermark moved."""
        before = self.watermark.ticks.get(source or tick.source)
        moved = self.watermark.advance(source or tick.source, tick.time)
        self._changed |= before is not None and tick.time > before
        return moved

    def tick(self) -> Row | None:
        """The tick that readers have not heard yet."""
        if self.told >= self.watermark.value:
            return None
        self.told = self.watermark.value
        return tick_row(self.name, self.told)

    def changed_rows(self) -> dict[bytes, bytes | None]:
        """Its row, if a tick was heard since the last call."""
        if not self._changed:
            return {}
        self._changed = False
        return dict(self.rows())


def passed_on(control: ControlChanged, record: Record, source: str) -> Row:
    """A control as the next topic gets it: the source partition that it names, and its place there, stay."""
    headers = [
        ("seen_at", header(record, "seen_at") or b"-1"),
        *cloud_headers("ControlChanged", control.id, source, control.time),
    ]
    return Row(control.model.encode(), encode(control), headers)
