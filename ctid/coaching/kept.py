"""The sheets on the disk, and the sessions that they can be about: `coaching.db` in the state directory."""

import sqlite3
from collections.abc import Collection, Sequence
from pathlib import Path

import msgspec
from msgspec import Struct

from ctid.coaching.sheets import Session, Sheet
from ctid.database import Database
from ctid.model.errors import CtidError
from ctid.model.ids import AgentId, SheetId, SupervisionId
from ctid.model.instant import Instant, dec_hook, enc_hook
from ctid.supervision.rights import ALL

FILE = "coaching.db"
_MIGRATIONS = (
    """
CREATE TABLE sessions (
  supervision TEXT NOT NULL,
  agent TEXT NOT NULL,
  began_at REAL NOT NULL,
  document BLOB NOT NULL,
  PRIMARY KEY (supervision, agent)
);
CREATE INDEX sessions_of_time ON sessions (began_at);
CREATE TABLE sheets (
  id TEXT PRIMARY KEY,
  supervision TEXT NOT NULL,
  agent TEXT NOT NULL,
  team TEXT NOT NULL,
  author TEXT NOT NULL,
  written_at REAL NOT NULL,
  document BLOB NOT NULL,
  UNIQUE (supervision, agent)
);
CREATE INDEX sheets_of_agent ON sheets (agent, written_at);
CREATE INDEX sheets_of_author ON sheets (author, written_at);
CREATE INDEX sheets_of_time ON sheets (written_at);
CREATE TABLE versions (
  id INTEGER PRIMARY KEY,
  sheet TEXT NOT NULL,
  document BLOB NOT NULL
);
CREATE INDEX versions_of_sheet ON versions (sheet);
""",
)

_encoder = msgspec.json.Encoder(enc_hook=enc_hook)
_sheets = msgspec.json.Decoder(Sheet, dec_hook=dec_hook)
_sessions = msgspec.json.Decoder(Session, dec_hook=dec_hook)

Place = tuple[float, str]
"""Where a page of the sheets ends: the time and the id of its last one."""


class CoachingUnavailable(CtidError):
    """The sheets cannot be read or written; the text names the cure."""

    code = "coaching.unavailable"
    status = 503
    title = "The coaching sheets cannot be used"


class Readable(Struct, frozen=True, kw_only=True):
    """Whose sheets somebody reads: her own, and those about agents of these teams."""

    author: str
    teams: frozenset[str]


class Kept:
    """Every method raises `CoachingUnavailable`."""

    def __init__(self, directory: Path) -> None:
        self._database = Database(directory / FILE, _MIGRATIONS, CoachingUnavailable)

    async def open(self) -> None:
        """Make the file, or see that it can be used."""
        await self._database.open()

    async def close(self) -> None:
        """Close the file."""
        await self._database.close()

    # Sessions -------------------------------------------------------------------------------------

    async def put_session(self, session: Session) -> None:
        """Keep what is known of a session with one agent."""

        def write(connection: sqlite3.Connection) -> None:
            connection.execute(
                "INSERT OR REPLACE INTO sessions VALUES (?, ?, ?, ?)",
                (session.id, session.agent, session.began_at, _encoder.encode(session)),
            )

        await self._database.write(write)

    async def sessions(self, ident: SupervisionId) -> Sequence[Session]:
        """The parts of a session, one an agent, the earliest first."""

        def read(connection: sqlite3.Connection) -> list[Session]:
            rows = connection.execute(
                "SELECT document FROM sessions WHERE supervision = ? ORDER BY began_at", (ident,)
            )
            return [_sessions.decode(row[0]) for row in rows]

        return await self._database.read(read)

    # Sheets ---------------------------------------------------------------------------------------

    async def add(self, sheet: Sheet) -> Sheet | None:
        """Keep a new sheet; where the session has one about this agent already, that is returned instead."""

        def write(connection: sqlite3.Connection) -> Sheet | None:
            row = connection.execute(
                "SELECT document FROM sheets WHERE supervision = ? AND agent = ?",
                (sheet.supervision, sheet.agent),
            ).fetchone()
            if row is not None:
                return _sheets.decode(row[0])
            _put(connection, sheet)
            return None

        return await self._database.write(write)

    async def change(self, before: Sheet, after: Sheet) -> bool:
        """Keep a sheet's next version; false, and nothing done, where it is another one by now."""

        def write(connection: sqlite3.Connection) -> bool:
            row = connection.execute("SELECT document FROM sheets WHERE id = ?", (before.id,)).fetchone()
            if row is None or _sheets.decode(row[0]) != before:
                return False
            _put(connection, after)
            return True

        return await self._database.write(write)

    async def sheet(self, ident: SheetId) -> Sheet | None:
        """One sheet."""
        found = await self._found("sheets WHERE id = ?", (ident,))
        return found[0] if found else None

    async def versions(self, ident: SheetId) -> Sequence[Sheet]:
        """Every version of a sheet, the oldest first."""
        return await self._found("versions WHERE sheet = ? ORDER BY id", (ident,))

    async def sheets(
        self, readable: Readable | None = None, *, agent: str | None, after: Place | None, limit: int
    ) -> Sequence[Sheet]:
        """Sheets about an agent, or all, as far as these are readable; newest first, older than `after`."""
        at, ident = after or (1e12, "")
        where = ["(written_at < ? OR (written_at = ? AND id < ?))"]
        values: list[object] = [at, at, ident]
        if agent is not None:
            where.append("agent = ?")
            values.append(agent)
        if readable is not None and ALL not in readable.teams:
            teams = sorted(readable.teams)
            where.append(f"(author = ? OR team IN ({', '.join('?' * len(teams))}))")
            values += [readable.author, *teams]
        order = "ORDER BY written_at DESC, id DESC LIMIT ?"
        return await self._found(f"sheets WHERE {' AND '.join(where)} {order}", (*values, limit))

    # Retention ------------------------------------------------------------------------------------

    async def count_older(self, before: Instant) -> int:
        """How many sheets were written before a time."""
        return await self._database.read(
            lambda connection: int(
                connection.execute("SELECT count(*) FROM sheets WHERE written_at < ?", (before,)).fetchone()[
                    0
                ]
            )
        )

    async def purge_older(self, before: Instant) -> int:
        """Take them out, with the sessions of before; returns how many sheets they were."""

        def write(connection: sqlite3.Connection) -> int:
            connection.execute("DELETE FROM sessions WHERE began_at < ?", (before,))
            return _delete(connection, "written_at < ?", before)

        return await self._database.write(write)

    async def erase(self, sheets: Collection[SheetId]) -> None:
        """Take these out, with every version."""

        def write(connection: sqlite3.Connection) -> None:
            for ident in sheets:
                _delete(connection, "id = ?", ident)

        await self._database.write(write)

    async def forget(self, agent: AgentId) -> None:
        """Take out that there were sessions with an agent: no more sheets can be written about these."""

        def write(connection: sqlite3.Connection) -> None:
            connection.execute("DELETE FROM sessions WHERE agent = ?", (agent,))

        await self._database.write(write)

    async def all_versions(self, agent: AgentId | None) -> Sequence[Sheet]:
        """Every version of every sheet, about one agent or all, the oldest first."""
        return await self._found(
            "versions WHERE ?1 = '' OR sheet IN (SELECT id FROM sheets WHERE agent = ?1) ORDER BY id",
            (agent or "",),
        )

    async def _found(self, where: str, values: tuple[object, ...]) -> Sequence[Sheet]:
        def read(connection: sqlite3.Connection) -> list[Sheet]:
            rows = connection.execute(f"SELECT document FROM {where}", values)  # noqa: S608 - constant words, bound values
            return [_sheets.decode(row[0]) for row in rows]

        return await self._database.read(read)


def _put(connection: sqlite3.Connection, sheet: Sheet) -> None:
    document = _encoder.encode(sheet)
    written_at = _sheets.decode(document).written_at  # a page ends by what the document says, in milliseconds
    connection.execute(
        "INSERT OR REPLACE INTO sheets VALUES (?, ?, ?, ?, ?, ?, ?)",
        (sheet.id, sheet.supervision, sheet.agent, sheet.team, sheet.author, written_at, document),
    )
    connection.execute("INSERT INTO versions (sheet, document) VALUES (?, ?)", (sheet.id, document))


def _delete(connection: sqlite3.Connection, where: str, value: object) -> int:
    which = f"FROM sheets WHERE {where}"
    connection.execute(f"DELETE FROM versions WHERE sheet IN (SELECT id {which})", (value,))  # noqa: S608 - constant words, bound values
    return connection.execute(f"DELETE {which}", (value,)).rowcount
