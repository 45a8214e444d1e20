"""What ctid counted in a soak against the PBX's books, moment by moment, as sentences. Pure.

The PBX's side is read by `records` and `books`, of which ctid has no part.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import zip_longest
from typing import Any, NamedTuple

from ctid.history.align import EARLY_S, LATE_S
from e2e import books
from e2e.books import Moment
from e2e.records import CallRecord, LogLine
from lab import roster

LENGTHS = ("hold_s", "ring_s", "wait_s", "talk_s")
STORIES = 8
"""So many of the calls that differ are told in full."""


class Told(NamedTuple):
    """A moment of a caller in a queue, and when it was, in seconds since the epoch; `source`: who told it."""

    at: float
    moment: Moment
    source: str

    def __str__(self) -> str:
        moment = self.moment
        words = [moment.name, moment.queue, moment.agent and f"agent {moment.agent}", moment.by]
        lengths = [f"{name} {length:.1f}" for name, length in moment.lengths.items()]
        return " ".join(word for word in [f"{self.at:.1f}", *words, *lengths, f"({self.source})"] if word)


def of_log(lines: Iterable[LogLine]) -> list[Told]:
    """What queue_log tells of callers. Raises KeyError for an agent that the rig has not."""
    return [Told(line.at, moment, "queue_log") for line in lines for moment in books.of_log([line])]


def of_ledger(rows: Iterable[Mapping[str, Any]]) -> list[Told]:
    """What ctid's ledger tells (the items of `GET /figures/calls`)."""
    return [
        Told(
            datetime.fromisoformat(row["at"]).timestamp(),
            Moment(
                row["kind"],
                row["queue"],
                row["leg"],
                row["agent"],
                row["by"],
                {name: row[name] for name in LENGTHS if row[name] is not None},
            ),
            row["source"],
        )
        for row in rows
    ]


def callers(rows: Iterable[CallRecord]) -> dict[str, str]:
    """The customers' legs by the call records: unique id -> number."""
    customers = tuple(f"PJSIP/{number}-" for number in roster.CUSTOMERS)
    return {row.uniqueid: row.source for row in rows if row.channel.startswith(customers)}


def differ(log: Sequence[Told], ledger: Sequence[Told], number_of: Mapping[str, str]) -> list[str]:
    """Where the ledger tells another moment than queue_log, another time or length, each call named.

    Moments that agree in queue, leg, agent and who did it are compared in the order of time.
    """
    theirs, ours = _by_key(log), _by_key(ledger)
    found: list[str] = []
    legs: dict[str, None] = {}
    for key in sorted(theirs.keys() | ours.keys()):
        told = [
            text
            for one, other in zip_longest(theirs.get(key, ()), ours.get(key, ()))
            for text in _pair_differs(one, other)
        ]
        if told:
            name, queue, leg, agent, by = key
            who = f"{name} {queue}, {number_of.get(leg, 'nobody')} ({leg}), agent {agent or '-'} {by}"
            found += [f"{who.rstrip()}: {text}" for text in told]
            legs[leg] = None
    return found + [_story(leg, log, ledger, number_of) for leg in list(legs)[:STORIES]]


def _by_key(told: Sequence[Told]) -> dict[tuple[str, ...], list[Told]]:
    groups: dict[tuple[str, ...], list[Told]] = {}
    for one in sorted(told, key=lambda one: one.at):
        groups.setdefault(one.moment.key, []).append(one)
    return groups


def _pair_differs(one: Told | None, other: Told | None) -> Iterator[str]:
    if other is None:
        yield f"ctid has not {one}"
    elif one is None:
        yield f"queue_log has not {other}"
    else:
        late = other.at - one.at
        if not -EARLY_S <= late <= LATE_S:
            yield f"it is {late:+.1f} s in ctid ({other.source}) from where it is in queue_log"
        for name, length in one.moment.lengths.items():
            mine = other.moment.lengths.get(name)
            if mine is None or abs(mine - length) > books.TOLERANCE_S:
                yield f"{name} is {length} in queue_log, {mine} in ctid ({other.source})"


def _story(leg: str, log: Sequence[Told], ledger: Sequence[Told], number_of: Mapping[str, str]) -> str:
    lines = [f"the call of {number_of.get(leg, 'nobody')} ({leg}):"]
    for name, side in (("queue_log", log), ("ctid", ledger)):
        lines += [f"    {name:9} {one}" for one in side if one.moment.leg == leg]
    return "\n".join(lines)


def offers_differ(log: Sequence[Told], rows: Sequence[CallRecord], made: int) -> Iterator[str]:
    """Where queue_log's callers are not those of the call records, or these not as many as were `made`."""
    legs = callers(rows)
    if len(legs) != made:
        yield f"{made} calls were made, and {len(legs)} have a call record"
    in_queue = {row.uniqueid for row in rows if row.uniqueid in legs and row.application == "Queue"}
    entered = {told.moment.leg for told in log if told.moment.name == "caller_queued"}
    for leg in sorted(entered ^ in_queue):
        book, other = ("queue_log", "call records") if leg in entered else ("call records", "queue_log")
        yield f"{legs.get(leg, 'nobody')} ({leg}) was in a queue by the {book}, not by the {other}"


def ends_differ(log: Sequence[Told]) -> Iterator[str]:
    """Where queue_log itself leaves a caller in a queue: the soak was not over."""
    ends = {"caller_abandoned", "caller_left", "call_served"}
    stays: dict[tuple[str, str], int] = {}
    for told in log:
        key = (told.moment.queue, told.moment.leg)
        stays[key] = stays.get(key, 0) + (told.moment.name == "caller_queued") - (told.moment.name in ends)
    for (queue, leg), count in sorted(stays.items()):
        if count:
            yield f"queue_log has {leg} in {queue} {count} times more in than out"
