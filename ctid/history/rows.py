"""The ledger's moments as rows of its table: what is read for a comparison, and what is done after it."""

import sqlite3
from collections.abc import Iterable, Sequence
from math import floor
from typing import Any

from ctid.history import match
from ctid.history.align import LATE_S
from ctid.history.entries import EVENT, Entry, Kept, Key, Mark
from ctid.model.ids import AgentId, LegId, PbxId, QueueId
from ctid.model.instant import Instant

COLUMNS = (
    "id, pbx, kind, queue, leg, agent, at, by, position, hold_s, ring_s, wait_s, talk_s, source,"
    " line_leg, line_at"
)
_LEGS_AT_ONCE = 500
_NEAR_S = 3 * LATE_S
"""So far around an event are the lines that it can be, and the events that can be them as well."""


def entry_of_row(row: Sequence[Any]) -> Kept:
    """A row of `COLUMNS`, as an entry."""
    ident, pbx, kind, queue, leg, agent, at, by, position, hold, ring, wait, talk, source, *line = row
    entry = Entry(
        pbx=PbxId(pbx),
        kind=kind,
        queue=QueueId(queue),
        leg=LegId(leg),
        agent=AgentId(agent),
        at=Instant(at),
        by=by,
        position=position,
        hold_s=hold,
        ring_s=ring,
        wait_s=wait,
        talk_s=talk,
        source=source,
    )
    leg, second = line
    return Kept(ident, entry, Mark(leg, second) if leg is not None else None)


def of_legs(
    connection: sqlite3.Connection, pbx: PbxId, log: Sequence[Entry], covered: tuple[float, float]
) -> list[Kept]:
    """The rows that `match.compare` wants."""
    since, until = covered
    rows = _between(connection, pbx, since - LATE_S, until + LATE_S)
    wanted = sorted({entry.leg for entry in log})
    for start in range(0, len(wanted), _LEGS_AT_ONCE):
        some = wanted[start : start + _LEGS_AT_ONCE]
        marks = ",".join("?" * len(some))
        for column in ("leg", "line_leg"):
            rows += connection.execute(
                f"SELECT {COLUMNS} FROM moments WHERE pbx = ? AND {column} IN ({marks})",  # noqa: S608 - constant columns, bound values
                (pbx, *some),
            ).fetchall()
    known = {leg for row in rows for leg in (row[4], row[14])}
    for entry in log:
        if entry.at < floor(since) and entry.leg not in known:
            rows += _between(connection, pbx, entry.at, entry.at + LATE_S)
    return list({kept.id: kept for kept in map(entry_of_row, rows)}.values())


def _between(connection: sqlite3.Connection, pbx: PbxId, since: float, until: float) -> list[Any]:
    return connection.execute(
        f"SELECT {COLUMNS} FROM moments WHERE pbx = ? AND at >= ? AND at <= ?",  # noqa: S608 - constant columns, bound values
        (pbx, since, until),
    ).fetchall()


def add(connection: sqlite3.Connection, entry: Entry) -> None:
    """Keep a moment that an event told, unless it is there already."""
    rows = connection.execute(
        f"SELECT {COLUMNS} FROM moments WHERE pbx = ? AND kind = ? AND queue = ? AND leg = ?"  # noqa: S608 - constant columns, bound values
        " AND agent IN (?, '') AND at >= ? AND at <= ?",
        (*(entry.pbx, *entry.key), entry.at - _NEAR_S, entry.at + _NEAR_S),
    ).fetchall()
    near = [entry_of_row(row) for row in rows]
    if any(row.entry.source == EVENT and row.entry.at == entry.at for row in near):
        return  # heard twice
    near.append(Kept(_insert(connection, Kept(0, entry)), entry))
    carry_out(connection, match.settle(near), near)
    _number(connection, entry.pbx, entry.key)


def carry_out(connection: sqlite3.Connection, plan: match.Plan, kept: Iterable[Kept]) -> None:
    """Do what was planned for the rows `kept`."""
    touched = {(row.entry.pbx, row.entry.key) for row in kept if row.id in plan.drop}
    connection.executemany("DELETE FROM moments WHERE id = ?", [(ident,) for ident in plan.drop])
    connection.executemany(
        "UPDATE moments SET line_leg = ?, line_at = ? WHERE id = ?",
        [(mark and mark.leg, mark and mark.at, ident) for ident, mark in plan.mark],
    )
    for row in plan.insert:
        _insert(connection, row)
        touched.add((row.entry.pbx, row.entry.key))
    for pbx, key in touched:
        _number(connection, pbx, key)


def _insert(connection: sqlite3.Connection, row: Kept) -> int:
    """Insert behind all of its key; `_number` puts them in the order of time. Returns its id."""
    entry = row.entry
    (last,) = connection.execute(
        "SELECT max(ordinal) FROM moments WHERE pbx = ? AND kind = ? AND queue = ? AND leg = ? AND agent = ?",
        (entry.pbx, *entry.key),
    ).fetchone()
    cursor = connection.execute(
        "INSERT INTO moments (pbx, kind, queue, leg, agent, ordinal, at, by, position, hold_s, ring_s,"
        " wait_s, talk_s, source, line_leg, line_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            entry.pbx,
            *entry.key,
            (last or 0) + 1,
            entry.at,
            entry.by,
            entry.position,
            entry.hold_s,
            entry.ring_s,
            entry.wait_s,
            entry.talk_s,
            entry.source,
            row.line and row.line.leg,
            row.line and row.line.at,
        ),
    )
    return int(cursor.lastrowid or 0)


def _number(connection: sqlite3.Connection, pbx: PbxId, key: Key) -> None:
    """Number the rows of a key in the order of time, from 1."""
    rows = connection.execute(
        "SELECT id, ordinal FROM moments WHERE pbx = ? AND kind = ? AND queue = ? AND leg = ? AND agent = ?"
        " ORDER BY at, id",
        (pbx, *key),
    ).fetchall()
    wrong = [(ordinal, ident) for ordinal, (ident, old) in enumerate(rows, 1) if old != ordinal]
    # By way of negative numbers, so that no two have the same in between.
    connection.executemany("UPDATE moments SET ordinal = ? WHERE id = ?", [(-o, ident) for o, ident in wrong])
    connection.executemany("UPDATE moments SET ordinal = ? WHERE id = ?", wrong)
