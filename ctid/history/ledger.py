"""The ledger on the disk: SQLite, one row a moment. Blocks: it is used from one thread of its own.

Durability: write-ahead log with `synchronous=NORMAL`. A power cut can lose the last commits, never the file;
what is lost is read again from the PBX's log, as `complete_until` is lost with it.
"""

import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from ctid.history import match, rows, schema
from ctid.history.entries import Entry
from ctid.history.words import Closed, Count, Gap, GapCause, GapState, Remembered
from ctid.model.errors import CtidError
from ctid.model.ids import AgentId, LegId, PbxId, QueueId
from ctid.model.instant import Instant

FILE = "history.db"
BUSY_S = 2.0
"""How long another program's lock is waited for."""

_Result = TypeVar("_Result")
_NEW_FILE = "move it away with its -wal and -shm files: ctid begins a new one, and asks the PBX's log"


_OLDER = "SELECT count(*) FROM moments WHERE at < ?"


class LedgerUnavailable(CtidError):
    """The ledger cannot be read or written; the text names the cure."""

    code = "history.unavailable"
    status = 503
    title = "The ledger cannot be used"


class Ledger:
    """The file `history.db` in the state directory. Every method raises `LedgerUnavailable`."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / FILE
        self._connection: sqlite3.Connection | None = None

    def close(self) -> None:
        """Close the file; it is opened again when it is next used."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def add(self, entries: Sequence[Entry], complete: Mapping[PbxId, Instant]) -> None:
        """Keep moments that events told, each once, and note until when all of a PBX is in the ledger."""

        def write(connection: sqlite3.Connection) -> None:
            for entry in entries:
                rows.add(connection, entry)
            for pbx, until in complete.items():
                connection.execute(
                    "UPDATE pbxs SET complete_until = max(complete_until, ?) WHERE pbx = ?", (until, pbx)
                )

        self._write(write)

    def fill(
        self,
        pbx: PbxId,
        log: Sequence[Entry],
        covered: tuple[float, float],
        strange: frozenset[LegId] = frozenset(),
    ) -> match.Plan:
        """Take in what a PBX's log tells; see `match.compare`. Returns what was done."""

        def write(connection: sqlite3.Connection) -> match.Plan:
            kept = rows.of_legs(connection, pbx, log, covered)
            plan = match.compare(log, kept, covered, strange)
            rows.carry_out(connection, plan, kept)
            return plan

        return self._write(write)

    # What is known of a PBX -----------------------------------------------------------------------

    def remembered(self, pbx: PbxId) -> Remembered | None:
        """What is kept of a PBX; none when the ledger has never seen it."""

        def read(connection: sqlite3.Connection) -> Remembered | None:
            row = connection.execute(
                "SELECT began_at, complete_until, counters, names FROM pbxs WHERE pbx = ?", (pbx,)
            ).fetchone()
            if row is None:
                return None
            return Remembered(
                began_at=Instant(row[0]),
                complete_until=Instant(row[1]),
                counters=row[2] or b"",
                names=row[3] or b"",
            )

        return self.read(read)

    def remember(
        self,
        pbx: PbxId,
        *,
        until: Instant,
        began_at: Instant,
        counters: bytes,
        names: bytes,
        closed: Closed | None = None,
    ) -> None:
        """Note that all until then is in the ledger or in a gap; `began_at` counts for a new PBX alone.

        With it a gap that ends there is closed, so that none is told twice whenever ctid is killed.
        """

        def write(connection: sqlite3.Connection) -> None:
            if closed is not None:
                _close_gap(connection, closed, until)
            connection.execute(
                "INSERT INTO pbxs VALUES (?, ?, ?, ?, ?) ON CONFLICT (pbx) DO UPDATE SET"
                " complete_until = max(complete_until, excluded.complete_until),"
                " counters = excluded.counters, names = excluded.names",
                (pbx, began_at, until, counters, names),
            )

        self._write(write)

    def told_since(self, pbx: PbxId, since: Instant) -> dict[tuple[str, str], tuple[int, int]]:
        """Served and unserved callers as a PBX's counters count, by queue and agent ('' for the queue)."""

        def read(connection: sqlite3.Connection) -> dict[tuple[str, str], tuple[int, int]]:
            rows = connection.execute(
                "SELECT queue, agent, sum(kind = 'call_served'),"
                " sum(kind = 'caller_abandoned' OR kind = 'caller_left' AND by <> 'key')"
                " FROM moments WHERE pbx = ? AND at > ? GROUP BY queue, agent",
                (pbx, since),
            ).fetchall()
            counted: dict[tuple[str, str], tuple[int, int]] = {}
            for queue, agent, served, unserved in rows:
                for key in {(queue, agent), (queue, "")}:
                    before = counted.get(key, (0, 0))
                    counted[key] = (before[0] + served, before[1] + unserved)
            return counted

        return self.read(read)

    # Gaps -----------------------------------------------------------------------------------------

    def open_gap(self, pbx: PbxId, began_at: Instant, cause: GapCause) -> int:
        """Note a gap; one that is open already is the same. Returns its row."""

        def write(connection: sqlite3.Connection) -> int:
            row = connection.execute(
                "SELECT id FROM gaps WHERE pbx = ? AND state = ?", (pbx, GapState.OPEN)
            ).fetchone()
            if row is not None:
                return int(row[0])
            cursor = connection.execute(
                "INSERT INTO gaps (pbx, began_at, ended_at, cause, state, detail, found)"
                " VALUES (?, ?, NULL, ?, ?, '', 0)",
                (pbx, began_at, cause, GapState.OPEN),
            )
            return int(cursor.lastrowid or 0)

        return self._write(write)

    def gaps(self, since: Instant, until: Instant) -> list[Gap]:
        """The gaps that touch a time, the oldest first."""

        def read(connection: sqlite3.Connection) -> list[Gap]:
            rows = connection.execute(
                "SELECT id, pbx, began_at, ended_at, cause, state, detail, found FROM gaps"
                " WHERE began_at < ? AND (ended_at IS NULL OR ended_at > ?) ORDER BY began_at, id",
                (until, since),
            ).fetchall()
            return [
                Gap(
                    pbx=PbxId(row[1]),
                    began_at=Instant(row[2]),
                    ended_at=Instant(row[3]) if row[3] is not None else None,
                    cause=GapCause(row[4]),
                    state=GapState(row[5]),
                    detail=row[6],
                    found=row[7],
                    counts=_counts(connection, row[0]),
                )
                for row in rows
            ]

        return self.read(read)

    def count(self, before: Instant) -> int:
        """How many moments are older."""
        return self.read(lambda connection: int(connection.execute(_OLDER, (before,)).fetchone()[0]))

    def purge(self, before: Instant) -> int:
        """Take out what is older; returns how many moments that were."""

        def write(connection: sqlite3.Connection) -> int:
            cursor = connection.execute("DELETE FROM moments WHERE at < ?", (before,))
            connection.execute("DELETE FROM gaps WHERE ended_at < ?", (before,))
            connection.execute("UPDATE pbxs SET began_at = max(began_at, ?)", (before,))
            return cursor.rowcount

        return self._write(write)

    # The file -------------------------------------------------------------------------------------

    def read(self, work: Callable[[sqlite3.Connection], _Result]) -> _Result:
        """Do some reading, in one view of the file."""
        with self._usable() as connection:
            connection.execute("BEGIN")
            try:
                return work(connection)
            finally:
                connection.execute("ROLLBACK")

    def _write(self, work: Callable[[sqlite3.Connection], _Result]) -> _Result:
        """Do some writing, all or nothing."""
        with self._usable() as connection:
            connection.execute("BEGIN IMMEDIATE")
            try:
                result = work(connection)
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise
            return result

    @contextmanager
    def _usable(self) -> Iterator[sqlite3.Connection]:
        try:
            if self._connection is None:
                self._connection = self._open()
            yield self._connection
        except schema.TooNew as error:
            raise LedgerUnavailable(
                f"{self.path}: {error}; install that ctid again, or {_NEW_FILE}"
            ) from error
        except sqlite3.Error as error:
            # The file may be another one by the time it is tried again: it is opened anew then.
            self.close()
            raise LedgerUnavailable(self._explained(error)) from error

    def _open(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self.path, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
        try:
            connection.execute("PRAGMA foreign_keys = ON")
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")
            schema.migrate(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _explained(self, error: sqlite3.Error) -> str:
        text = str(error)
        cure = next((cure for word, cure in _CURES if word in text), f"see what is wrong, or {_NEW_FILE}")
        return f"{self.path} cannot be used ({text}): {cure}"


_CURES = (
    ("full", "make room on its disk"),
    ("locked", "end the program that holds it (`fuser` names it)"),
    ("readonly", "make it and its directory writable for ctid's user"),
    ("unable to open", "make it and its directory writable for ctid's user"),
    ("disk I/O error", "make room on its disk, and see whether the disk is sound"),
    ("malformed", _NEW_FILE),
    ("not a database", _NEW_FILE),
)


def _close_gap(connection: sqlite3.Connection, closed: Closed, ended_at: Instant) -> None:
    connection.execute(
        "UPDATE gaps SET ended_at = ?, state = ?, detail = ?, found = ? WHERE id = ?",
        (ended_at, closed.state, closed.detail, closed.found, closed.row),
    )
    connection.executemany(
        "INSERT INTO counts VALUES (?, ?, ?, ?, ?)",
        [
            (closed.row, count.queue, count.agent or "", count.served, count.unserved)
            for count in closed.counts
        ],
    )


def _counts(connection: sqlite3.Connection, gap: int) -> tuple[Count, ...]:
    rows = connection.execute(
        "SELECT queue, agent, served, unserved FROM counts WHERE gap = ? ORDER BY queue, agent", (gap,)
    )
    return tuple(
        Count(queue=QueueId(queue), agent=AgentId(agent) if agent else None, served=served, unserved=unserved)
        for queue, agent, served, unserved in rows
    )
