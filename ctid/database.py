"""A small SQLite file that a room keeps: opened when it is needed, its mistakes told with their cure.

Durability: write-ahead log with `synchronous=NORMAL`. A power cut can lose the last commits, never the file.
"""

import asyncio
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from ctid.model.errors import CtidError

BUSY_S = 2.0
"""How long another program's lock is waited for."""
_NEW_FILE = "move it away with its -wal and -shm files: ctid begins a new one"
_CURES = (
    ("full", "make room on its disk"),
    ("locked", "end the program that holds it (`fuser` names it)"),
    ("readonly", "make it and its directory writable for ctid's user"),
    ("unable to open", "make it and its directory writable for ctid's user"),
    ("disk I/O error", "make room on its disk, and see whether the disk is sound"),
    ("malformed", _NEW_FILE),
    ("not a database", _NEW_FILE),
)

_Result = TypeVar("_Result")


class Database:
    """The file at `path`; `migrations` are its scripts, one a version, of which it has had `user_version`.

    Every method raises `unavailable` when the file cannot be used. `read` and `write` do their work in one
    thread of its own, one piece after the other.
    """

    def __init__(
        self, path: Path, migrations: Sequence[str], unavailable: Callable[[str], CtidError]
    ) -> None:
        self.path = path
        self._migrations = migrations
        self._unavailable = unavailable
        self._connection: sqlite3.Connection | None = None
        self._thread = ThreadPoolExecutor(1, path.stem)

    async def open(self) -> None:
        """Make the file, or see that it can be used: whoever needs it first does not wait for that."""
        await self.read(lambda _: None)

    async def read(self, work: Callable[[sqlite3.Connection], _Result]) -> _Result:
        """Do some reading, in one view of the file."""
        return await self._in_thread(work, "BEGIN", "ROLLBACK")

    async def write(self, work: Callable[[sqlite3.Connection], _Result]) -> _Result:
        """Do some writing, all or nothing."""
        return await self._in_thread(work, "BEGIN IMMEDIATE", "COMMIT")

    async def close(self) -> None:
        """Close the file; idempotent, and the end of it."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self._drop)
        self._thread.shutdown(wait=False)

    async def _in_thread(
        self, work: Callable[[sqlite3.Connection], _Result], begin: str, end: str
    ) -> _Result:
        def done() -> _Result:
            with self._usable() as connection:
                connection.execute(begin)
                try:
                    result = work(connection)
                    connection.execute(end)
                except BaseException:
                    if connection.in_transaction:
                        connection.execute("ROLLBACK")
                    raise
                return result

        return await asyncio.get_running_loop().run_in_executor(self._thread, done)

    @contextmanager
    def _usable(self) -> Iterator[sqlite3.Connection]:
        try:
            if self._connection is None:
                self._connection = self._open()
            yield self._connection
        except sqlite3.Error as error:
            # The file may be another one by the time it is tried again: it is opened anew then.
            self._drop()
            text = str(error)
            cure = next((cure for word, cure in _CURES if word in text), f"see what is wrong, or {_NEW_FILE}")
            raise self._unavailable(f"{self.path} cannot be used ({text}): {cure}") from error

    def _open(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self.path, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")
            self._migrate(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _migrate(self, connection: sqlite3.Connection) -> None:
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        known = len(self._migrations)
        if version > known:
            raise self._unavailable(
                f"{self.path}: its tables are of version {version}, and this ctid knows {known}; "
                f"install that ctid again, or {_NEW_FILE}"
            )
        if version == known:
            return
        scripts = "\n".join(self._migrations[version:])
        try:
            connection.executescript(f"BEGIN IMMEDIATE;\n{scripts}\nPRAGMA user_version = {known};\nCOMMIT;")
        except sqlite3.Error:
            if connection.in_transaction:
                connection.rollback()
            # Another process may have made the tables since it was looked.
            if connection.execute("PRAGMA user_version").fetchone() != (known,):
                raise

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()
