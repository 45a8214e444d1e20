"""Tokens, people and sessions on the disk: `identity.db` in the state directory. No secret is in it."""

import sqlite3
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TypeVar

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from ctid.database import Database
from ctid.identity.records import Moment, Person, Session, Stored, Token
from ctid.model.errors import CtidError
from ctid.model.instant import Instant, dec_hook, enc_hook

FILE = "identity.db"
_MIGRATIONS = (
    """
CREATE TABLE records (
  kind TEXT NOT NULL,
  id TEXT NOT NULL,
  name TEXT UNIQUE,
  document BLOB NOT NULL,
  PRIMARY KEY (kind, id)
);
CREATE TABLE moments (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  document BLOB NOT NULL
);
""",
)

_KINDS: dict[type[Struct], str] = {Token: "token", Person: "user", Session: "session"}
_Record = TypeVar("_Record", Token, Person, Session)
_encoder = msgspec.json.Encoder(enc_hook=enc_hook)


class IdentityUnavailable(CtidError):
    """The file of tokens and people cannot be read or written; the text names the cure."""

    code = "identity.unavailable"
    status = 503
    title = "The tokens and users that are kept cannot be used"


class IdentityRefused(CtidError):
    """A token or a user cannot be made or changed so.

    Codes: `identity.name_taken`, `identity.configured`, `identity.no_password`.
    """

    status = 409
    title = "The token or user cannot be so"

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.code = f"identity.{reason}"


class Kept:
    """Every method raises `IdentityUnavailable`. Several processes may use the file at once."""

    def __init__(self, directory: Path) -> None:
        self._database = Database(directory / FILE, _MIGRATIONS, IdentityUnavailable)

    async def close(self) -> None:
        """Close the file."""
        await self._database.close()

    async def load(self) -> Stored:
        """All of it, in one view."""

        def read(connection: sqlite3.Connection) -> Stored:
            return Stored(
                tokens=_all(connection, Token),
                people=_all(connection, Person),
                sessions=_all(connection, Session),
            )

        return await self._database.read(read)

    async def version(self) -> int:
        """Another number once somebody else has changed the file."""
        return await self._database.read(
            lambda connection: int(connection.execute("PRAGMA data_version").fetchone()[0])
        )

    async def change(
        self,
        *,
        put: Sequence[Token | Person | Session] = (),
        remove: Sequence[Token | Person | Session] = (),
        tell: Moment | None = None,
    ) -> None:
        """Change records together with what the audit is to tell of it.

        Raises:
            IdentityRefused: a name is another one's.
        """

        def write(connection: sqlite3.Connection) -> None:
            for record in remove:
                connection.execute("DELETE FROM records WHERE kind = ? AND id = ?", _key(record))
            for record in put:
                _put(connection, record)
            if tell is not None:
                connection.execute("INSERT INTO moments (document) VALUES (?)", (_encoder.encode(tell),))

        await self._database.write(write)

    async def touch(self, used: Iterable[tuple[str, float]]) -> None:
        """Keep when tokens and sessions, by id, were used last."""
        at_by_id = dict(used)

        def write(connection: sqlite3.Connection) -> None:
            records: list[Token | Session] = [*_all(connection, Token), *_all(connection, Session)]
            for record in records:
                if record.id in at_by_id:
                    _put(connection, replace(record, used_at=Instant(at_by_id[record.id])))

        await self._database.write(write)

    async def moments(self) -> list[tuple[int, Moment]]:
        """What the audit has not been told yet, the oldest first."""

        def read(connection: sqlite3.Connection) -> list[tuple[int, Moment]]:
            rows = connection.execute("SELECT id, document FROM moments ORDER BY id")
            return [
                (number, msgspec.json.decode(document, type=Moment, dec_hook=dec_hook))
                for number, document in rows
            ]

        return await self._database.read(read)

    async def told(self, number: int) -> None:
        """Forget a moment that the audit has."""
        await self._database.write(
            lambda connection: connection.execute("DELETE FROM moments WHERE id = ?", (number,))
        )


def _key(record: Token | Person | Session) -> tuple[str, str]:
    return _KINDS[type(record)], record.name if isinstance(record, Person) else record.id


def _put(connection: sqlite3.Connection, record: Token | Person | Session) -> None:
    kind, ident = _key(record)
    name = None if isinstance(record, Session) else record.name
    found = connection.execute("SELECT kind, id FROM records WHERE name = ?", (name,)).fetchone()
    if found is not None and found != (kind, ident):
        raise IdentityRefused("name_taken", f"{name} is the name of a {found[0]} already; choose another")
    row = (kind, ident, name, _encoder.encode(record))
    connection.execute("INSERT OR REPLACE INTO records VALUES (?, ?, ?, ?)", row)


def _all(connection: sqlite3.Connection, kind: type[_Record]) -> tuple[_Record, ...]:
    rows = connection.execute("SELECT document FROM records WHERE kind = ? ORDER BY id", (_KINDS[kind],))
    return tuple([msgspec.json.decode(row[0], type=kind, dec_hook=dec_hook) for row in rows])
