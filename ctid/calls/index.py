"""The index of recordings on the disk: SQLite, a row for each, no audio. Used from a thread of its own."""

import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from msgspec import Struct
from msgspec.structs import asdict

from ctid.calls.words import RecordingEntry
from ctid.model.errors import CtidError
from ctid.model.ids import AgentId, CallId, LegId, PbxId, QueueId
from ctid.model.instant import Instant

FILE = "recordings.db"
BUSY_S = 2.0
"""How long another program's lock is waited for."""
VERSION = 1
_TABLES = """
BEGIN IMMEDIATE;
CREATE TABLE recordings (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  call TEXT NOT NULL,
  leg TEXT NOT NULL,
  pbx TEXT NOT NULL,
  agent TEXT NOT NULL,
  queue TEXT NOT NULL,
  by TEXT NOT NULL,
  basis TEXT NOT NULL,
  file TEXT NOT NULL,
  started_at REAL NOT NULL,
  stopped_at REAL
);
CREATE INDEX recordings_of_call ON recordings (call);
CREATE INDEX recordings_of_time ON recordings (started_at);
PRAGMA user_version = 1;
COMMIT;
"""
_COLUMNS = "id, call, leg, pbx, agent, queue, by, basis, file, started_at, stopped_at"

_Result = TypeVar("_Result")


class IndexUnavailable(CtidError):
    """The index cannot be read or written; the text names the cure. Nothing is recorded without it."""

    code = "recordings.unavailable"
    status = 503
    title = "The index of recordings cannot be used"


class Selection(Struct, frozen=True, kw_only=True):
    """Those that match every filter that is not empty; `before` is the id at which a page ended."""

    call: str = ""
    agent: str = ""
    queue: str = ""
    by: str = ""
    before: int | None = None
    limit: int = 100


class RecordingIndex:
    """The file `recordings.db` in the state directory. Every method raises `IndexUnavailable`."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / FILE
        self._connection: sqlite3.Connection | None = None

    def close(self) -> None:
        """Close the file; it is opened again when it is next used."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def begin(self, recording: RecordingEntry) -> int:
        """Keep a recording that is about to be made; its id is ignored. Returns the id that it has."""
        row = asdict(recording)
        values = [row[name] or "" if name in ("agent", "queue") else row[name] for name in _names()[1:]]

        def write(connection: sqlite3.Connection) -> int:
            marks = ", ".join("?" * len(values))
            cursor = connection.execute(
                f"INSERT INTO recordings ({', '.join(_names()[1:])}) VALUES ({marks})",  # noqa: S608 - constant columns, bound values
                values,
            )
            return int(cursor.lastrowid or 0)

        return self._do(write)

    def forget(self, ident: int) -> None:
        """Take out a recording that was not made after all."""
        self._do(lambda connection: connection.execute("DELETE FROM recordings WHERE id = ?", (ident,)))

    def end(self, call: CallId, at: Instant) -> None:
        """Note that the recordings of a call are over."""
        self._do(
            lambda connection: connection.execute(
                "UPDATE recordings SET stopped_at = max(?, started_at) WHERE call = ? AND stopped_at IS NULL",
                (at, call),
            )
        )

    def open_calls(self, pbx: PbxId) -> list[CallId]:
        """The calls whose recording is not noted as over."""
        rows = self._do(
            lambda connection: connection.execute(
                "SELECT DISTINCT call FROM recordings WHERE pbx = ? AND stopped_at IS NULL", (pbx,)
            ).fetchall()
        )
        return [CallId(call) for (call,) in rows]

    def find(self, selection: Selection) -> list[RecordingEntry]:
        """The recordings of a selection, the newest first."""
        wanted = {name: getattr(selection, name) for name in ("call", "agent", "queue", "by")}
        given = {name: value for name, value in wanted.items() if value}
        conditions = [f"{name} = ?" for name in given]
        values: list[Any] = list(given.values())
        if selection.before is not None:
            conditions.append("id < ?")
            values.append(selection.before)
        where = f"WHERE {' AND '.join(conditions)} " if conditions else ""
        rows = self._do(
            lambda connection: connection.execute(
                f"SELECT {_COLUMNS} FROM recordings {where}ORDER BY id DESC LIMIT ?",  # noqa: S608 - constant columns, bound values
                (*values, selection.limit),
            ).fetchall()
        )
        return [_recording(row) for row in rows]

    def erase_basis(self, idents: Sequence[int]) -> None:
        """Leave of these recordings no word of why they were made."""
        self._do(
            lambda connection: connection.executemany(
                "UPDATE recordings SET basis = '' WHERE id = ?", [(ident,) for ident in idents]
            )
        )

    def count_before(self, before: Instant) -> int:
        """How many recordings began before a time."""
        (count,) = self._do(
            lambda connection: connection.execute(
                "SELECT count(*) FROM recordings WHERE started_at < ?", (before,)
            ).fetchone()
        )
        return int(count)

    def purge(self, before: Instant) -> int:
        """Take out what began before a time; returns how many recordings that were."""
        return self._do(
            lambda connection: (
                connection.execute("DELETE FROM recordings WHERE started_at < ?", (before,)).rowcount
            )
        )

    def _do(self, work: Callable[[sqlite3.Connection], _Result]) -> _Result:
        try:
            if self._connection is None:
                self._connection = self._open()
            return work(self._connection)
        except sqlite3.Error as error:
            # The file may be another one by the time it is tried again: it is opened anew then.
            self.close()
            raise IndexUnavailable(
                f"{self.path} cannot be used ({error}): make room on its disk, and it writable for ctid's "
                "user; if it is damaged move it away, and ctid begins a new one"
            ) from error

    def _open(self) -> sqlite3.Connection:
        # Each statement is whole by itself.
        connection = sqlite3.connect(self.path, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            _migrate(connection, version)
        except BaseException:
            connection.close()
            raise
        return connection


def _migrate(connection: sqlite3.Connection, version: int) -> None:
    """Make the tables of a new file. Raises sqlite3.DatabaseError: they are of a later ctid."""
    if version > VERSION:
        raise sqlite3.DatabaseError(f"it is of a later ctid, version {version}")
    if not version:
        connection.executescript(_TABLES)


def _names() -> list[str]:
    return _COLUMNS.split(", ")


def _recording(row: Sequence[Any]) -> RecordingEntry:
    ident, call, leg, pbx, agent, queue, by, basis, file, started_at, stopped_at = row
    return RecordingEntry(
        id=ident,
        call=CallId(call),
        leg=LegId(leg),
        pbx=PbxId(pbx),
        agent=AgentId(agent) if agent else None,
        queue=QueueId(queue) if queue else None,
        by=by,
        basis=basis,
        file=file,
        started_at=Instant(started_at),
        stopped_at=Instant(stopped_at) if stopped_at is not None else None,
    )
