"""A PBX's queues as its log and its events tell them, for the tests of the ledger."""

import math
from collections.abc import Iterable

from ctid.history.entries import EVENT, LOG, Entry, Kept, Mark
from ctid.model.ids import AgentId, LegId, PbxId, QueueId
from ctid.model.instant import Instant
from helpers.floor import BASE

PBX = PbxId("lab")


def entry(
    kind: str = "caller_queued",
    at: float = 0.0,
    leg: str = "1.1",
    agent: str = "",
    *,
    queue: str = "support",
    source: str = EVENT,
    by: str = "",
) -> Entry:
    """A moment, `at` seconds after the tests' beginning."""
    return Entry(
        pbx=PBX,
        kind=kind,
        queue=QueueId(queue),
        leg=LegId(leg),
        agent=AgentId(agent),
        at=Instant(BASE + at),
        source=source,
        by=by,
    )


def line(
    kind: str = "caller_queued", at: float = 0.0, leg: str = "1.1", agent: str = "", *, queue: str = "support"
) -> Entry:
    """The same as the log tells it: in whole seconds."""
    return entry(kind, math.floor(at), leg, agent, queue=queue, source=LOG)


def mark(line: Entry) -> Mark:
    """Which line it is."""
    return Mark(line.leg, math.floor(line.at))


def row(number: int, told: Entry, line: Entry | None = None) -> Kept:
    """A row, and which line it is: of the log, its own."""
    return Kept(number, told, mark(line or told) if line is not None or told.source == LOG else None)


def rows(*entries: Entry, confirmed: bool = False) -> list[Kept]:
    """The entries as rows, numbered from 1; where `confirmed`, the log has told each as well."""
    return [row(number, told, told if confirmed else None) for number, told in enumerate(entries, 1)]


def keys(entries: Iterable[Entry]) -> list[tuple[str, ...]]:
    """The keys of entries, sorted."""
    return sorted(told.key for told in entries)
