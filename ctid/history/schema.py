"""The tables of the ledger, and how those of an older ctid become them."""

import sqlite3

_FIRST = """
CREATE TABLE moments (
  id INTEGER PRIMARY KEY,
  pbx TEXT NOT NULL,
  kind TEXT NOT NULL,
  queue TEXT NOT NULL,
  leg TEXT NOT NULL,
  agent TEXT NOT NULL,
  ordinal INTEGER NOT NULL,
  at REAL NOT NULL,
  by TEXT NOT NULL,
  position INTEGER,
  hold_s REAL,
  ring_s REAL,
  wait_s REAL,
  talk_s REAL,
  source TEXT NOT NULL,
  line_leg TEXT,
  line_at REAL,
  UNIQUE (pbx, kind, queue, leg, agent, ordinal)
);
CREATE INDEX moments_of_leg ON moments (pbx, leg);
CREATE INDEX moments_of_line ON moments (pbx, line_leg);
CREATE INDEX moments_of_time ON moments (at);
CREATE TABLE gaps (
  id INTEGER PRIMARY KEY,
  pbx TEXT NOT NULL,
  began_at REAL NOT NULL,
  ended_at REAL,
  cause TEXT NOT NULL,
  state TEXT NOT NULL,
  detail TEXT NOT NULL,
  found INTEGER NOT NULL
);
CREATE INDEX gaps_of_time ON gaps (pbx, began_at);
CREATE TABLE counts (
  gap INTEGER NOT NULL REFERENCES gaps (id) ON DELETE CASCADE,
  queue TEXT NOT NULL,
  agent TEXT NOT NULL,
  served INTEGER,
  unserved INTEGER,
  PRIMARY KEY (gap, queue, agent)
);
CREATE TABLE pbxs (
  pbx TEXT PRIMARY KEY,
  began_at REAL NOT NULL,
  complete_until REAL NOT NULL,
  counters BLOB,
  names BLOB
);
"""

MIGRATIONS = (_FIRST,)
"""One script a version; the file's `user_version` is how many of them it has had.

SQLite 3.34, of Debian bullseye and RHEL 9, must be able to run them: it drops no column.
"""


class TooNew(Exception):
    """The file was written by a newer ctid."""


def migrate(connection: sqlite3.Connection) -> None:
    """Bring a ledger's tables to this version, all or nothing.

    Raises:
        TooNew: they are of a later one.
        sqlite3.Error: the file does not allow it.
    """
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > len(MIGRATIONS):
        raise TooNew(f"its tables are of version {version}, and this ctid knows {len(MIGRATIONS)}")
    if version == len(MIGRATIONS):
        return
    scripts = "\n".join(MIGRATIONS[version:])
    try:
        connection.executescript(
            f"BEGIN IMMEDIATE;\n{scripts}\nPRAGMA user_version = {len(MIGRATIONS)};\nCOMMIT;"
        )
    except sqlite3.Error:
        if connection.in_transaction:
            connection.rollback()
        raise
