"""The letters on disk, those that wait and the dead: `webhooks.db` in the state directory."""

import sqlite3
from collections.abc import Collection, Sequence
from pathlib import Path

from ctid.database import Database
from ctid.model.instant import Instant
from ctid.webhooks.letters import NewLetter, Sent
from ctid.webhooks.line import Letter
from ctid.webhooks.words import DeadLetter, WebhooksUnavailable

FILE = "webhooks.db"
MOST_DEAD = 1000
"""Dead letters kept of each webhook; beyond it those that died first go."""

_MIGRATIONS = (
    """
CREATE TABLE letters (
  position INTEGER PRIMARY KEY AUTOINCREMENT,
  hook TEXT NOT NULL,
  event TEXT NOT NULL,
  type TEXT NOT NULL,
  subject TEXT NOT NULL,
  kept_at REAL NOT NULL,
  body BLOB NOT NULL,
  died_at REAL,
  tries INTEGER NOT NULL DEFAULT 0,
  reason TEXT NOT NULL DEFAULT '',
  UNIQUE (hook, event)
);
CREATE INDEX letters_dead ON letters (hook, died_at, position) WHERE died_at IS NOT NULL;
CREATE TABLE disabled (hook TEXT PRIMARY KEY, url TEXT NOT NULL, since REAL NOT NULL);
""",
)


class Kept:
    """Every method raises `WebhooksUnavailable`."""

    def __init__(self, directory: Path) -> None:
        self._database = Database(directory / FILE, _MIGRATIONS, WebhooksUnavailable)

    async def close(self) -> None:
        """Close the file."""
        await self._database.close()

    async def begin(self, hooks: Collection[str]) -> int:
        """Forget the letters of all other webhooks; returns how many they were."""

        def write(connection: sqlite3.Connection) -> int:
            gone = 0
            for (hook,) in connection.execute(
                "SELECT DISTINCT hook FROM letters UNION SELECT hook FROM disabled"
            ).fetchall():
                if hook not in hooks:
                    gone += connection.execute("DELETE FROM letters WHERE hook = ?", (hook,)).rowcount
                    connection.execute("DELETE FROM disabled WHERE hook = ?", (hook,))
            return gone

        return await self._database.write(write)

    async def add(self, letters: Sequence[NewLetter]) -> list[int | None]:
        """Keep letters, all or none; returns the position of each, none of one that is kept already."""

        def write(connection: sqlite3.Connection) -> list[int | None]:
            positions: list[int | None] = []
            for letter in letters:
                added = connection.execute(
                    "INSERT OR IGNORE INTO letters (hook, event, type, subject, kept_at, body) "
                    "VALUES (?, ?, ?, ?, ?, ?)",
                    letter,
                )
                positions.append(added.lastrowid if added.rowcount == 1 else None)
            return positions

        return await self._database.write(write)

    async def waiting(self, hook: str) -> list[Letter]:
        """The letters that wait for a webhook, in their order."""

        def read(connection: sqlite3.Connection) -> list[Letter]:
            rows = connection.execute(
                "SELECT position, subject, kept_at FROM letters "
                "WHERE hook = ? AND died_at IS NULL ORDER BY position",
                (hook,),
            )
            return [Letter(*row) for row in rows]

        return await self._database.read(read)

    async def read(self, position: int) -> Sent | None:
        """A letter as it is sent; none: it is kept no more."""

        def read(connection: sqlite3.Connection) -> Sent | None:
            row = connection.execute(
                "SELECT event, body FROM letters WHERE position = ?", (position,)
            ).fetchone()
            return Sent(*row) if row else None

        return await self._database.read(read)

    async def forget(self, positions: Sequence[int]) -> None:
        """Take letters out."""

        def write(connection: sqlite3.Connection) -> None:
            connection.executemany("DELETE FROM letters WHERE position = ?", [(each,) for each in positions])

        await self._database.write(write)

    # The dead ---------------------------------------------------------------------------------------

    async def bury(self, hook: str, position: int, at: float, tries: int, reason: str) -> int:
        """A letter is given up; returns how many dead ones the webhook has."""

        def write(connection: sqlite3.Connection) -> int:
            connection.execute(
                "UPDATE letters SET died_at = ?, tries = ?, reason = ? WHERE position = ?",
                (at, tries, reason, position),
            )
            return _bounded(connection, hook)

        return await self._database.write(write)

    async def disable(self, hook: str, url: str, at: float, reason: str) -> int:
        """A webhook's receiver is gone, and all that waits is dead; returns how many dead ones it has."""

        def write(connection: sqlite3.Connection) -> int:
            connection.execute("INSERT OR REPLACE INTO disabled VALUES (?, ?, ?)", (hook, url, at))
            connection.execute(
                "UPDATE letters SET died_at = ?, reason = ? WHERE hook = ? AND died_at IS NULL",
                (at, reason, hook),
            )
            return _bounded(connection, hook)

        return await self._database.write(write)

    async def disabled_since(self, hook: str, url: str) -> Instant | None:
        """Since when it is disabled, if it is under that URL."""

        def read(connection: sqlite3.Connection) -> Instant | None:
            row = connection.execute(
                "SELECT since FROM disabled WHERE hook = ? AND url = ?", (hook, url)
            ).fetchone()
            return Instant(row[0]) if row else None

        return await self._database.read(read)

    async def dead_count(self, hook: str) -> int:
        """How many dead letters a webhook has."""
        return await self._database.read(lambda connection: _count(connection, hook))

    async def dead(
        self, hook: str, after: tuple[float, int] | None, limit: int
    ) -> list[tuple[int, DeadLetter]]:
        """Dead letters with their positions, those that died first, first; after one's death and position."""

        def read(connection: sqlite3.Connection) -> list[tuple[int, DeadLetter]]:
            rows = connection.execute(
                "SELECT position, event, type, subject, kept_at, died_at, tries, reason FROM letters "
                "WHERE hook = ? AND died_at IS NOT NULL AND (died_at, position) > (?, ?) "
                "ORDER BY died_at, position LIMIT ?",
                (hook, *(after or (-1.0, -1)), limit),
            )
            return [
                (
                    position,
                    DeadLetter(
                        id=event,
                        type=kind,
                        subject=subject,
                        kept_at=Instant(kept_at),
                        died_at=Instant(died_at),
                        tries=tries,
                        reason=reason,
                    ),
                )
                for position, event, kind, subject, kept_at, died_at, tries, reason in rows
            ]

        return await self._database.read(read)

    async def revive(self, hook: str, events: Collection[str] | None, at: float) -> list[Letter]:
        """Have dead letters, all or some, wait again as if they were kept now; and the webhook enabled."""

        def write(connection: sqlite3.Connection) -> list[Letter]:
            connection.execute("DELETE FROM disabled WHERE hook = ?", (hook,))
            rows = connection.execute(
                "SELECT position, subject, event FROM letters "
                "WHERE hook = ? AND died_at IS NOT NULL ORDER BY position",
                (hook,),
            ).fetchall()
            found = [row for row in rows if events is None or row[2] in events]
            connection.executemany(
                "UPDATE letters SET died_at = NULL, kept_at = ?, tries = 0, reason = '' WHERE position = ?",
                [(at, position) for position, _, _ in found],
            )
            return [Letter(position, subject, at) for position, subject, _ in found]

        return await self._database.write(write)

    # What is kept about people ------------------------------------------------------------------------

    async def count_older(self, before: Instant) -> int:
        """How many letters died before a time."""
        return await self._database.read(
            lambda connection: int(
                connection.execute("SELECT count(*) FROM letters WHERE died_at < ?", (before,)).fetchone()[0]
            )
        )

    async def purge_older(self, before: Instant) -> int:
        """Take those out; returns how many they were."""
        return await self._database.write(
            lambda connection: connection.execute("DELETE FROM letters WHERE died_at < ?", (before,)).rowcount
        )

    async def bodies(self) -> list[tuple[int, bytes]]:
        """Position and body of every letter, in their order."""
        return await self._database.read(
            lambda connection: connection.execute(
                "SELECT position, body FROM letters ORDER BY position"
            ).fetchall()
        )


def _bounded(connection: sqlite3.Connection, hook: str) -> int:
    over = _count(connection, hook) - MOST_DEAD
    if over > 0:
        connection.execute(
            "DELETE FROM letters WHERE position IN "
            "(SELECT position FROM letters WHERE hook = ? AND died_at IS NOT NULL "
            "ORDER BY died_at, position LIMIT ?)",
            (hook, over),
        )
    return _count(connection, hook)


def _count(connection: sqlite3.Connection, hook: str) -> int:
    row = connection.execute(
        "SELECT count(*) FROM letters WHERE hook = ? AND died_at IS NOT NULL", (hook,)
    ).fetchone()
    return int(row[0])
