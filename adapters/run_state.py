"""What `up` has started: a file that other commands read, and a lock that only one supervisor of a folder can hold."""

import contextlib
import fcntl
import os
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Literal

import msgspec

from adapters import processes
from evenhand.errors import EvenhandError

Phase = Literal["starting", "ready", "stopping", "failed"]


class AlreadyRuns(EvenhandError):
    """Another supervisor holds the folder."""


class Kept(msgspec.Struct):
    """A process that the supervisor keeps alive. `identity` tells it from a later one with the same pid."""

    name: str
    pid: int
    identity: str
    log: str
    restarts: int = 0
    started_at: int = 0
    last_exit: int | None = None

    def alive(self) -> bool:
        """Whether it runs, and is still the same."""
        return processes.running(self.pid, self.identity)


class RunState(msgspec.Struct, kw_only=True):
    """The file `run/up.json`. `environment` is what a command needs to reach what runs; it holds no password."""

    pid: int
    identity: str
    phase: Phase
    started_at: int
    home: str
    log: str
    message: str = ""
    failure: str = ""
    ready_at: int | None = None
    broker: str = ""
    redis: str = ""
    environment: dict[str, str] = {}
    children: dict[str, Kept] = {}
    workers: dict[str, int] = {}
    """The name of each worker, whether it runs now or not, and how often it was started again."""

    def alive(self) -> bool:
        """Whether the supervisor runs."""
        return processes.running(self.pid, self.identity)


def home(environment: Mapping[str, str] = os.environ) -> Path:
    """The folder of everything that is not in Kafka: EVENHAND_HOME, else `var` in the current folder."""
    return Path(environment.get("EVENHAND_HOME") or "var").absolute()


def state_path(folder: Path) -> Path:
    """Where the state of a home lies."""
    return folder / "run" / "up.json"


def read_state(folder: Path) -> RunState | None:
    """What `up` has left there; None if there is nothing or nothing that can be read."""
    try:
        return msgspec.json.decode(state_path(folder).read_bytes(), type=RunState)
    except (OSError, msgspec.MsgspecError):
        return None


def running_state(folder: Path) -> RunState | None:
    """The state, if its supervisor runs."""
    state = read_state(folder)
    return state if state is not None and state.alive() else None


def write_json(path: Path, value: object) -> None:
    """Write a file whole or not at all, for nobody else to read."""
    path.parent.mkdir(parents=True, exist_ok=True)
    number, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    try:
        with os.fdopen(number, "wb") as file:
            file.write(msgspec.json.format(msgspec.json.encode(value), indent=1))
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


@contextlib.contextmanager
def held(folder: Path) -> Iterator[None]:
    """Hold the folder as its only supervisor; AlreadyRuns if another one does. The kernel lets go when we die."""
    path = folder / "run" / "up.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise AlreadyRuns(
                f"evenhand already runs in {folder}: look with `evenhand status`, end it with `evenhand down`"
            ) from error
        yield
