"""The raised hands on the disk, live ones and those of before: `help.db` in the state directory."""

import sqlite3
from collections.abc import Collection, Sequence
from pathlib import Path

import msgspec

from ctid.database import Database
from ctid.model.entities import Help
from ctid.model.errors import CtidError
from ctid.model.ids import AgentId, HelpId
from ctid.model.instant import Instant, dec_hook, enc_hook

FILE = "help.db"
_MIGRATIONS = (
    """
CREATE TABLE hands (
  id TEXT PRIMARY KEY,
  agent TEXT NOT NULL,
  raised_at REAL NOT NULL,
  ended_at REAL,
  document BLOB NOT NULL
);
CREATE INDEX hands_of_agent ON hands (agent);
CREATE INDEX hands_of_time ON hands (raised_at);
""",
)

_encoder = msgspec.json.Encoder(enc_hook=enc_hook)
_decoder = msgspec.json.Decoder(Help, dec_hook=dec_hook)


class HelpUnavailable(CtidError):
    """The file of the raised hands cannot be read or written; the text names the cure."""

    code = "help.unavailable"
    status = 503
    title = "The raised hands that are kept cannot be used"


class Kept:
    """Every method raises `HelpUnavailable`."""

    def __init__(self, directory: Path) -> None:
        self._database = Database(directory / FILE, _MIGRATIONS, HelpUnavailable)

    async def close(self) -> None:
        """Close the file."""
        await self._database.close()

    async def put(self, help_: Help) -> None:
        """Keep a raised hand as it is now."""

        def write(connection: sqlite3.Connection) -> None:
            row = (help_.id, help_.agent, help_.raised_at, help_.ended_at, _encoder.encode(help_))
            connection.execute("INSERT OR REPLACE INTO hands VALUES (?, ?, ?, ?, ?)", row)

        await self._database.write(write)

    async def live(self) -> Sequence[Help]:
        """Those that are not down yet, the oldest first."""
        return await self._found("ended_at IS NULL ORDER BY raised_at", ())

    async def ended(self, agent: AgentId | None = None) -> Sequence[Help]:
        """Those that are down, of one agent or of all, the oldest first."""
        return await self._found(
            "ended_at IS NOT NULL AND ?1 IN (agent, '') ORDER BY raised_at", (agent or "",)
        )

    async def count_older(self, before: Instant) -> int:
        """How many that are down were raised before a time."""
        return await self._database.read(
            lambda connection: int(connection.execute(f"SELECT count(*) {_OLDER}", (before,)).fetchone()[0])
        )

    async def purge_older(self, before: Instant) -> int:
        """Take those out; returns how many they were."""
        return await self._database.write(
            lambda connection: connection.execute(f"DELETE {_OLDER}", (before,)).rowcount
        )

    async def erase(self, hands: Collection[HelpId]) -> None:
        """Take these out."""

        def write(connection: sqlite3.Connection) -> None:
            connection.executemany("DELETE FROM hands WHERE id = ?", [(ident,) for ident in hands])

        await self._database.write(write)

    async def _found(self, where: str, values: tuple[object, ...]) -> Sequence[Help]:
        def read(connection: sqlite3.Connection) -> list[Help]:
            rows = connection.execute(f"SELECT document FROM hands WHERE {where}", values)  # noqa: S608 - constant words, bound values
            return [_decoder.decode(row[0]) for row in rows]

        return await self._database.read(read)


_OLDER = "FROM hands WHERE raised_at < ? AND ended_at IS NOT NULL"
