"""Signs of life: a small file that a process keeps writing, for health checks and for `evenhand status`."""

import os
import platform
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event, Thread

import msgspec

from adapters import processes
from adapters.clock import now_ms
from adapters.run_state import write_json

BEAT_S = 1.0
STALE_MS = 10_000


class Beat(msgspec.Struct, kw_only=True):
    """What a process says of itself. `state` is what it holds, in words that its kind defines."""

    kind: str
    name: str
    host: str
    pid: int
    identity: str
    time: int
    generation: int | None = None
    partitions: list[int] = []
    topics: list[str] = []
    reached: int | None = None

    def alive(self) -> bool:
        """Whether the process runs on this machine."""
        return self.host == platform.node() and processes.running(self.pid, self.identity)

    def age_ms(self) -> int:
        """How long ago it last wrote."""
        return now_ms() - self.time


def first_beat(kind: str, name: str) -> Beat:
    """A sign of life of this process, with nothing in it yet."""
    pid = os.getpid()
    return Beat(
        kind=kind, name=name, host=platform.node(), pid=pid, identity=processes.identity(pid) or "", time=now_ms()
    )


def beat_path(home: Path, kind: str, name: str) -> Path:
    """Where it lies."""
    return home / "run" / f"{kind}-{name}.json"


def write_beat(home: Path, beat: Beat) -> None:
    """Write it, with the time of now."""
    beat.time = now_ms()
    write_json(beat_path(home, beat.kind, beat.name), beat)


def keep_beating(home: Path, beat: Beat, look: Callable[[Beat], None]) -> Event:
    """Write it every second from a thread, after `look` has filled it in, until the event that is returned is set."""
    ended = Event()

    def run() -> None:
        while not ended.wait(BEAT_S):
            look(beat)
            write_beat(home, beat)

    look(beat)
    write_beat(home, beat)
    Thread(target=run, name="beat", daemon=True).start()
    return ended


def read_beats(home: Path, kind: str) -> Iterator[Beat]:
    """All signs of life of a kind that lie in a home, those of dead processes too."""
    for path in sorted((home / "run").glob(f"{kind}-*.json")):
        try:
            yield msgspec.json.decode(path.read_bytes(), type=Beat)
        except (OSError, msgspec.MsgspecError):
            continue
