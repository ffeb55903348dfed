"""What runs have said, in a SQLite file: written before anything is sent, so that it outlives MLflow and us.

An entry is (run, kind, key, step). The first one counts, and what comes again is a repeat, so that whatever is logged
twice arrives once; only of tags, artifacts, aliases and the end of a run is it the newest that counts.
"""

import contextlib
import shutil
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

Kind = Literal["start", "param", "metric", "tag", "artifact", "version", "alias", "end"]
Sink = Literal["mlflow", "stream"]
_TABLES = """
create table if not exists entries (
  seq integer primary key autoincrement, run text not null, kind text not null, key text not null,
  step integer not null, time integer not null, body blob not null,
  mlflow integer not null, stream integer not null, doubted integer not null default 0, refused text,
  unique (run, kind, key, step)
);
create index if not exists unsent on entries (seq) where mlflow = 0 or stream = 0;
create table if not exists runs (
  run text primary key, remote text not null default '', owner text not null default '',
  ended integer not null default 0, resumed integer not null default 0
);
"""
_ADD = """
insert into entries (run, kind, key, step, time, body, mlflow, stream, doubted)
values (?, ?, ?, ?, ?, ?, 0, ?, coalesce((select resumed from runs where run = ?), 0))
on conflict (run, kind, key, step) do update set body = excluded.body, mlflow = 0, refused = null
where kind in ('tag', 'artifact', 'alias', 'end') and body <> excluded.body
"""
_COLUMNS = "seq, run, kind, key, step, time, body, doubted"
WAITS_S = 30.0


class Entry(NamedTuple):
    """One thing that was said. `doubted`: an attempt to send it has ended without an answer."""

    seq: int
    run: str
    kind: Kind
    key: str
    step: int
    time: int
    body: bytes
    doubted: int = 0


class Said(NamedTuple):
    """What a run says: kind, key, step, time in ms UTC, and the rest as bytes."""

    kind: Kind
    key: str
    step: int
    time: int
    body: bytes


class Spool:
    """The file. Threads may share it; every process has its own object."""

    def __init__(self, path: Path) -> None:
        """Open the file, which is made if it is not there."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path, self._lock = path, threading.Lock()
        self._db = sqlite3.connect(path, timeout=WAITS_S, isolation_level=None, check_same_thread=False)
        self._db.execute("pragma journal_mode=wal")
        self._db.execute("pragma synchronous=normal")
        self._db.executescript(_TABLES)

    @property
    def folder(self) -> Path:
        """Where the files of artifacts wait."""
        return self.path.with_suffix(".files")

    def open_run(self, run: str, owner: str) -> None:
        """Note a run and who writes it. What one that goes on says may have arrived before."""
        with self._lock:
            self._db.execute(
                "insert into runs (run, owner) values (?, ?) "
                "on conflict (run) do update set owner = excluded.owner, ended = 0, resumed = 1",
                (run, owner),
            )

    def add(self, run: str, said: Iterable[Said], *, streams: bool) -> int:
        """Write entries, all or none; how many were new. Metrics go to the stream, too, if there is one."""
        rows = [(run, *one, int(not (streams and one.kind == "metric")), run) for one in said]
        if not rows:
            return 0
        with self._writing():
            before = self._db.total_changes
            self._db.executemany(_ADD, rows)
            return self._db.total_changes - before

    def unsent(self, sink: Sink, limit: int) -> list[Entry]:
        """The oldest entries that a sink has not got."""
        query = f"select {_COLUMNS} from entries where {sink} = 0 order by seq limit ?"  # noqa: S608  no user's text
        with self._lock:
            return [Entry(*row) for row in self._db.execute(query, (limit,))]

    def waiting(self, sink: Sink, run: str | None = None) -> int:
        """How many entries a sink has not got, of one run or of all."""
        query = f"select count(*) from entries where {sink} = 0 and (? is null or run = ?)"  # noqa: S608
        with self._lock:
            return int(self._db.execute(query, (run, run)).fetchone()[0])

    def doubt(self, seqs: Sequence[int]) -> None:
        """Note that entries are about to be sent: should no answer come, they may have arrived."""
        with self._writing():
            self._db.executemany("update entries set doubted = 1 where seq = ?", [(seq,) for seq in seqs])

    def sent(self, sink: Sink, entries: Iterable[Entry]) -> None:
        """Note what a sink has. An entry that has changed meanwhile stays unsent."""
        with self._writing():
            self._db.executemany(
                f"update entries set {sink} = 1 where seq = ? and body = ?",  # noqa: S608
                [(entry.seq, entry.body) for entry in entries],
            )

    def refuse(self, sink: Sink, entry: Entry, reason: str) -> None:
        """Note that a sink will never take an entry, and why."""
        with self._lock:
            self._db.execute(
                f"update entries set {sink} = 1, refused = ? where seq = ?",  # noqa: S608
                (reason, entry.seq),
            )

    def refused(self) -> list[tuple[str, str, str]]:
        """Run, key and reason of everything that a sink would not take."""
        with self._lock:
            return list(self._db.execute("select run, key, refused from entries where refused is not null"))

    def remote(self, run: str) -> str:
        """What MLflow calls a run; empty while it has none."""
        with self._lock:
            found = self._db.execute("select remote from runs where run = ?", (run,)).fetchone()
        return str(found[0]) if found else ""

    def name_remote(self, run: str, remote: str) -> None:
        """Note what MLflow calls a run."""
        with self._lock:
            self._db.execute("update runs set remote = ? where run = ?", (remote, run))

    def end_run(self, run: str) -> None:
        """Note that a run says nothing more."""
        with self._lock:
            self._db.execute("update runs set ended = 1 where run = ?", (run,))

    def open_runs(self) -> list[tuple[str, str]]:
        """Run and owner of all that have not ended."""
        with self._lock:
            return list(self._db.execute("select run, owner from runs where ended = 0"))

    def forget_ended(self) -> None:
        """Drop what every sink has of runs that have ended; refusals stay, to be read."""
        with self._writing():
            done = [
                str(run)
                for (run,) in self._db.execute(
                    "select run from runs where ended = 1 and run not in "
                    "(select run from entries where mlflow = 0 or stream = 0)"
                )
            ]
            self._db.executemany("delete from entries where run = ? and refused is null", [(run,) for run in done])
        for run in done:
            shutil.rmtree(self.folder / run, ignore_errors=True)

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._db.close()

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        """All or nothing."""
        with self._lock:
            self._db.execute("begin immediate")
            try:
                yield
            except BaseException:
                self._db.execute("rollback")
                raise
            self._db.execute("commit")
