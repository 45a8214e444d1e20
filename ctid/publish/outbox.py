"""The outbox: events on disk, in SQLite, for as long as the broker does not take them."""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import structlog

from ctid.publish.backlog import Queued

log = structlog.get_logger(__name__)

_SCHEMA = """
CREATE TABLE IF NOT EXISTS event (position INTEGER PRIMARY KEY, topic TEXT NOT NULL, payload BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS dropped (one INTEGER PRIMARY KEY CHECK (one = 1), count INTEGER NOT NULL);
INSERT OR IGNORE INTO dropped VALUES (1, 0);
"""
_ROOM_FOR_LOG = 1 << 20
"""Bytes that the write-ahead log keeps; it is emptied into the file, not into a bigger log."""


class OutboxError(Exception):
    """The disk is full, read-only or damaged; the message is SQLite's or the system's."""


class Outbox:
    """The file. Every method blocks on the disk, and belongs in one thread that is not the event loop's.

    All of them raise `OutboxError`, and have then changed nothing.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._database: sqlite3.Connection | None = None

    def open(self) -> tuple[list[int], int]:
        """Open or make the file; returns the positions in it, ascending, and how many drops are untold.

        A file that SQLite cannot read is set aside, under the same name with `.damaged`.
        """
        try:
            return self._open()
        except OutboxError as error:
            if not isinstance(error.__cause__, sqlite3.DatabaseError) or isinstance(
                error.__cause__, sqlite3.OperationalError
            ):
                raise
            self.set_aside(str(error))
        return self._open()

    def set_aside(self, reason: str) -> None:
        """Give up on a damaged file: rename it, so that `open` makes a new one."""
        log.error("outbox damaged, set aside", path=str(self._path), reason=reason)
        self.close()
        with _told():
            self._path.replace(self._path.with_name(self._path.name + ".damaged"))
            for suffix in ("-wal", "-shm"):
                self._path.with_name(self._path.name + suffix).unlink(missing_ok=True)

    def _open(self) -> tuple[list[int], int]:
        with _told():
            if self._database is None:
                self._database = sqlite3.connect(self._path, timeout=1.0, isolation_level=None)
            database = self._database
            database.execute("PRAGMA journal_mode = WAL")
            database.execute("PRAGMA synchronous = NORMAL")
            database.execute(f"PRAGMA journal_size_limit = {_ROOM_FOR_LOG}")
            database.executescript(_SCHEMA)
            rows = database.execute("SELECT position FROM event ORDER BY position").fetchall()
            (dropped,) = database.execute("SELECT count FROM dropped").fetchone()
        return [position for (position,) in rows], dropped

    def append(self, events: Sequence[Queued]) -> None:
        """Keep events, all or none."""
        rows = [(event.position, event.topic, event.payload) for event in events]
        with self._transaction() as database:
            database.executemany("INSERT OR REPLACE INTO event VALUES (?, ?, ?)", rows)

    def read(self, positions: Sequence[int]) -> list[Queued]:
        """Read events of ascending positions; those that are not there are left out."""
        wanted = set(positions)
        with _told():
            rows = self._opened().execute(
                "SELECT position, topic, payload FROM event WHERE position BETWEEN ? AND ? ORDER BY position",
                (positions[0], positions[-1]),
            )
            return [Queued(*row) for row in rows if row[0] in wanted]

    def delete(self, positions: Sequence[int], *, dropped: int = 0) -> None:
        """Forget events, and remember that `dropped` of them never arrived."""
        with self._transaction() as database:
            database.executemany("DELETE FROM event WHERE position = ?", [(each,) for each in positions])
            if dropped:
                database.execute("UPDATE dropped SET count = count + ?", (dropped,))

    def told_dropped(self) -> None:
        """What `delete` remembered has been told."""
        with self._transaction() as database:
            database.execute("UPDATE dropped SET count = 0")

    def close(self) -> None:
        """Close the file; idempotent."""
        if self._database is not None:
            self._database.close()
            self._database = None

    def _opened(self) -> sqlite3.Connection:
        if self._database is None:
            raise OutboxError(f"{self._path} is not open")
        return self._database

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        database = self._opened()
        with _told():
            database.execute("BEGIN IMMEDIATE")
            try:
                yield database
                database.execute("COMMIT")
            except sqlite3.Error:
                # A full disk has rolled it back already.
                if database.in_transaction:
                    database.execute("ROLLBACK")
                raise


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        raise OutboxError(str(error)) from error
