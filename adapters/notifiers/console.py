"""The console: one line an alert."""

import sys
from typing import TextIO

from adapters.notifiers.base import Alert


class Console:
    """On stderr, as logs are."""

    name = "console"

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream

    async def send(self, alert: Alert) -> None:
        said = " ".join(alert.annotations.get("summary", "").split())
        print(f"{alert.startsAt} {alert.status} {said} [{alert.id}]", file=self._stream or sys.stderr, flush=True)
