"""The figures of queues and agents, made of the ledger's moments; each opens into the moments behind it.

Sums and counts are told beside every mean, so that periods can be added up; a rate of nothing is none.
Blocks, as the ledger does.
"""

import sqlite3
from typing import Any

from msgspec import Struct

from ctid.history.entries import Entry
from ctid.history.ledger import Ledger
from ctid.history.rows import COLUMNS, entry_of_row
from ctid.history.words import Gap, GapState
from ctid.model.ids import AgentId, PbxId, QueueId
from ctid.model.instant import Instant

FORMULAS = {
    "offered": "callers who entered the queue (caller_queued); for an agent, answered + missed",
    "answered": "callers whom the queue connected with an agent (caller_answered)",
    "abandoned": "callers who hung up while waiting (caller_abandoned)",
    "left": "callers who left the queue for elsewhere, by reason (caller_left)",
    "missed": "times that a call rang at an agent who did not take it (offer_missed)",
    "served": "conversations that ended (call_served)",
    "hold_s": "sum of the waits of answered callers",
    "wait_s": "sum of the waits of abandoned callers",
    "talk_s": "sum of the lengths of conversations that ended",
    "ring_s": "sum of the ringing at an agent, before she answered or missed it",
    "answer_rate": "answered / offered",
    "abandonment_rate": "abandoned / offered",
    "mean_hold_s": "hold_s / answered (ASA, average speed of answer)",
    "mean_talk_s": "talk_s / served",
}
"""What each figure is, by its id. A moment counts in the period in which it happened."""


class QueueFigures(Struct, frozen=True, kw_only=True):
    """A queue's figures in a period. A caller who comes through two queues is offered in both."""

    pbx: PbxId
    queue: QueueId
    offered: int
    answered: int
    abandoned: int
    left: dict[str, int]
    missed: int
    served: int
    hold_s: float
    wait_s: float
    talk_s: float
    answer_rate: float | None
    abandonment_rate: float | None
    mean_hold_s: float | None
    mean_talk_s: float | None


class AgentFigures(Struct, frozen=True, kw_only=True):
    """An agent's figures in a period, in all of the queues that were asked for."""

    pbx: PbxId
    agent: AgentId
    offered: int
    answered: int
    missed: int
    served: int
    ring_s: float
    talk_s: float
    answer_rate: float | None
    mean_talk_s: float | None


class Figures(Struct, frozen=True, kw_only=True):
    """Figures of a period, and what is not known of it."""

    since: Instant
    until: Instant
    began_at: Instant | None
    """When the ledger begins; what was before is in no figure."""
    complete: bool
    """The ledger has all of the period: no gap in it but those that the PBX's log has filled."""
    queues: tuple[QueueFigures, ...]
    agents: tuple[AgentFigures, ...]
    gaps: tuple[Gap, ...]
    """The times in the period that ctid did not see, and what became of them."""
    formulas: dict[str, str]
    """What each figure is, by its name."""


class Selection(Struct, frozen=True, kw_only=True):
    """Which moments are meant; what is empty restricts nothing."""

    since: Instant
    until: Instant
    queue: str = ""
    agent: str = ""
    kind: str = ""
    by: str = ""

    def where(self) -> tuple[str, list[Any]]:
        """The condition, and its values."""
        parts = ["at >= ?", "at < ?"]
        given: list[Any] = [float(self.since), float(self.until)]
        for column, value in (
            ("queue", self.queue),
            ("agent", self.agent),
            ("kind", self.kind),
            ("by", self.by),
        ):
            if value:
                parts.append(f"{column} = ?")
                given.append(value)
        return " AND ".join(parts), given


_SUMS = (
    "count(*), total(CASE kind WHEN 'caller_answered' THEN hold_s END), total(wait_s), total(talk_s),"
    " total(ring_s)"
)


def figures(ledger: Ledger, selection: Selection) -> Figures:
    """The figures of a period, by queue and by agent. Raises LedgerUnavailable."""
    where, values = selection.where()

    def read(connection: sqlite3.Connection) -> tuple[list[Any], list[Any], float | None]:
        queues = connection.execute(
            f"SELECT pbx, queue, kind, by, {_SUMS} FROM moments WHERE {where}"  # noqa: S608 - columns and marks
            " GROUP BY pbx, queue, kind, by",
            values,
        ).fetchall()
        agents = connection.execute(
            f"SELECT pbx, agent, kind, '', {_SUMS} FROM moments WHERE {where} AND agent <> ''"  # noqa: S608 - constant sums, bound values
            " GROUP BY pbx, agent, kind",
            values,
        ).fetchall()
        (began,) = connection.execute("SELECT min(began_at) FROM pbxs").fetchone()
        return queues, agents, began

    by_queue, by_agent, began = ledger.read(read)
    gaps = tuple(ledger.gaps(selection.since, selection.until))
    return Figures(
        since=selection.since,
        until=selection.until,
        began_at=Instant(began) if began is not None else None,
        complete=began is not None
        and began <= selection.since
        and all(gap.state is GapState.FILLED for gap in gaps),
        queues=tuple(_queue(*key, sums) for key, sums in sorted(_gathered(by_queue).items())),
        agents=tuple(_agent(*key, sums) for key, sums in sorted(_gathered(by_agent).items())),
        gaps=gaps,
        formulas=FORMULAS,
    )


class _Sums:
    def __init__(self) -> None:
        self.counts: dict[str, int] = {}
        self.left: dict[str, int] = {}
        self.hold = self.wait = self.talk = self.ring = 0.0

    def add(self, kind: str, by: str, count: int, hold: float, wait: float, talk: float, ring: float) -> None:
        self.counts[kind] = self.counts.get(kind, 0) + count
        if kind == "caller_left":
            self.left[by] = self.left.get(by, 0) + count
        self.hold += hold
        self.wait += wait if kind == "caller_abandoned" else 0.0
        self.talk += talk
        self.ring += ring


def _gathered(rows: list[Any]) -> dict[tuple[str, str], _Sums]:
    found: dict[tuple[str, str], _Sums] = {}
    for pbx, ident, kind, by, *sums in rows:
        found.setdefault((pbx, ident), _Sums()).add(kind, by, *sums)
    return found


def _queue(pbx: str, queue: str, sums: _Sums) -> QueueFigures:
    count = sums.counts.get
    offered, answered = count("caller_queued", 0), count("caller_answered", 0)
    abandoned, served = count("caller_abandoned", 0), count("call_served", 0)
    return QueueFigures(
        pbx=PbxId(pbx),
        queue=QueueId(queue),
        offered=offered,
        answered=answered,
        abandoned=abandoned,
        left=sums.left,
        missed=count("offer_missed", 0),
        served=served,
        hold_s=sums.hold,
        wait_s=sums.wait,
        talk_s=sums.talk,
        answer_rate=_rate(answered, offered),
        abandonment_rate=_rate(abandoned, offered),
        mean_hold_s=_rate(sums.hold, answered),
        mean_talk_s=_rate(sums.talk, served),
    )


def _agent(pbx: str, agent: str, sums: _Sums) -> AgentFigures:
    count = sums.counts.get
    answered, missed, served = count("caller_answered", 0), count("offer_missed", 0), count("call_served", 0)
    return AgentFigures(
        pbx=PbxId(pbx),
        agent=AgentId(agent),
        offered=answered + missed,
        answered=answered,
        missed=missed,
        served=served,
        ring_s=sums.ring,
        talk_s=sums.talk,
        answer_rate=_rate(answered, answered + missed),
        mean_talk_s=_rate(sums.talk, served),
    )


def _rate(part: float, whole: int) -> float | None:
    return part / whole if whole else None


def moments(
    ledger: Ledger, selection: Selection, after: tuple[float, int] | None, limit: int
) -> tuple[list[Entry], tuple[float, int] | None]:
    """A page of the moments behind a figure, in the order of time; and where the next page begins, or none.

    Raises LedgerUnavailable.
    """
    where, values = selection.where()
    if after is not None:
        where += " AND (at, id) > (?, ?)"
        values += after

    def read(connection: sqlite3.Connection) -> list[Any]:
        return connection.execute(
            f"SELECT {COLUMNS} FROM moments WHERE {where} ORDER BY at, id LIMIT ?",  # noqa: S608 - columns, marks
            (*values, limit + 1),
        ).fetchall()

    kept = [entry_of_row(row) for row in ledger.read(read)]
    page = kept[:limit]
    last = (float(page[-1].entry.at), page[-1].id) if len(kept) > limit else None
    return [row.entry for row in page], last
