"""Which lines of a PBX's log the ledger has already, and which it lacks. Pure.

The log tells each moment once, in whole seconds; events tell the same moments in fractions of them, and a
little later. Within a key (kind, queue, leg, agent) the two are paired in the order of time. What is left
over of the log is missing. What is left over of the events, though the log covers their time, the log tells
in other words (of another leg), or the ledger has it twice.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence

from msgspec import Struct

from ctid.history.entries import EVENT, LOG, Entry, Kept

TICK_S = 1.3
"""An event comes at most so long after the second in which the log has it, on a PBX at ease."""
LATE_S = 10.0
"""The same on a busy one."""
EARLY_S = 2.0
"""By so much may an event be before its line: where ctid's clock is not the PBX's."""


class Plan(Struct, frozen=True, kw_only=True):
    """What is to be done to the ledger so that it tells what the log tells, once."""

    insert: tuple[Entry, ...] = ()
    confirm: tuple[int, ...] = ()
    """Rows of events that the log has too."""
    drop: tuple[int, ...] = ()
    """Rows that another row, or a line to be inserted, tells as well, or better."""
    doubtful: tuple[Kept, ...] = ()
    """Rows of events that the log, though it covers their time, does not have."""


def soon(event_at: float, line_at: float) -> bool:
    """Whether an event of that time is most likely the moment that the log has in that second."""
    return 0.0 <= event_at - line_at < TICK_S


def possible(event_at: float, line_at: float) -> bool:
    """Whether an event of that time can be the moment that the log has in that second."""
    return -EARLY_S <= event_at - line_at <= LATE_S


def same_second(event_at: float, line_at: float) -> bool:
    """Whether two readings of one line are compared."""
    return event_at == line_at


def compare(log: Iterable[Entry], kept: Iterable[Kept], covered: tuple[float, float]) -> Plan:
    """Compare what the log tells with what the ledger has.

    Of each leg in `log` both are whole: `log` has its lines from the first on, `kept` all of its rows. Of
    other legs `kept` has the rows of the time `covered` (from, until), all of whose lines are in `log`.
    """
    comparison = _Comparison(log, kept, covered)
    comparison.run()
    return comparison.plan()


_ENDS = frozenset({"caller_abandoned", "caller_left"})
"""How a wait can end without an agent; events tell only in pieces which of the two it was."""

_Fits = Callable[[float, float], bool]
_Group = Callable[[Entry], tuple[str, ...]]


def _whole_key(entry: Entry) -> tuple[str, ...]:
    return entry.key


def _without_agent(entry: Entry) -> tuple[str, ...]:
    return entry.key[:3]


def _without_leg(entry: Entry) -> tuple[str, ...]:
    return (entry.kind, entry.queue, entry.agent)


class _Comparison:
    def __init__(self, log: Iterable[Entry], kept: Iterable[Kept], covered: tuple[float, float]) -> None:
        self._lines = sorted(log, key=lambda entry: entry.at)
        self._rows = sorted(kept, key=lambda row: row.entry.at)
        self._covered = covered
        self._row_of: dict[int, Kept] = {}
        """A line's index, to the row that is the same moment."""
        self._paired: set[int] = set()
        self._confirm: set[int] = set()
        self._drop: set[int] = set()

    def run(self) -> None:
        readings = [row for row in self._rows if _only_log(row)]
        told = [row for row in self._rows if not _only_log(row)]
        self._pair(_whole_key, readings, same_second)
        self._pair(_whole_key, told, soon)
        self._pair(_whole_key, told, possible)
        # The log may name somebody who is not known, and whom the event, or an earlier reading, does know.
        nameless = {index for index, line in enumerate(self._lines) if not line.agent}
        self._pair(_without_agent, readings, same_second, nameless)
        self._pair(_without_agent, told, soon, nameless)
        self._better_readings(readings)
        self._doubles(told, soon)
        self._pair(_without_leg, [row for row in told if self._is_covered(row)], soon)
        self._doubles(told, possible)
        self._other_ends(told)

    def plan(self) -> Plan:
        doubtful = [row for row in self._rows if self._is_left(row) and self._is_covered(row)]
        return Plan(
            insert=tuple(line for index, line in enumerate(self._lines) if index not in self._row_of),
            confirm=tuple(sorted(self._confirm)),
            drop=tuple(sorted(self._drop)),
            doubtful=tuple(row for row in doubtful if not _only_log(row) and not row.confirmed),
        )

    def _pair(self, group: _Group, rows: Sequence[Kept], fits: _Fits, among: set[int] | None = None) -> None:
        """Pair rows with lines, the latest first, each with the nearest line that was not after it."""
        free: dict[tuple[str, ...], list[int]] = {}
        for index, line in enumerate(self._lines):
            if index not in self._row_of and (among is None or index in among):
                free.setdefault(group(line), []).append(index)
        for row in reversed(rows):
            lines = free.get(group(row.entry))
            if not lines or not self._is_left(row):
                continue
            at = row.entry.at
            after = bisect_right(lines, at, key=lambda index: self._lines[index].at)
            for place in (after - 1, after):
                if 0 <= place < len(lines) and fits(at, self._lines[lines[place]].at):
                    self._take(lines.pop(place), row)
                    break

    def _take(self, index: int, row: Kept) -> None:
        self._row_of[index] = row
        self._paired.add(row.id)
        if row.entry.source == EVENT and not row.confirmed:
            self._confirm.add(row.id)

    def _better_readings(self, readings: Sequence[Kept]) -> None:
        """A line that named nobody known when it was first read, and does now, replaces that reading."""
        known: dict[tuple[str, ...], list[int]] = {}
        for index, line in enumerate(self._lines):
            if index not in self._row_of and line.agent:
                known.setdefault((*_without_agent(line), str(line.at)), []).append(index)
        for row in readings:
            if not row.entry.agent and self._is_left(row):
                place = (*_without_agent(row.entry), str(row.entry.at))
                if known.get(place):
                    known[place].pop()
                    self._drop.add(row.id)

    def _doubles(self, told: Sequence[Kept], fits: _Fits) -> None:
        """An event that came long after its line had been read: the line's row goes, the event's stays."""
        readings: dict[tuple[str, ...], list[int]] = {}
        for index, row in self._row_of.items():
            if _only_log(row):
                readings.setdefault(_without_agent(row.entry), []).append(index)
        for row in told:
            if not self._is_left(row) or row.confirmed or not self._is_covered(row):
                continue
            for index in readings.get(_without_agent(row.entry), ()):
                line = self._row_of[index].entry
                if line.agent in ("", row.entry.agent) and fits(row.entry.at, line.at):
                    readings[_without_agent(row.entry)].remove(index)
                    self._drop.add(self._row_of[index].id)
                    self._take(index, row)
                    break

    def _other_ends(self, told: Sequence[Kept]) -> None:
        """An event that took one end of a wait for another: the log knows whether the caller hung up."""
        ends: dict[tuple[str, ...], list[int]] = {}
        for index, line in enumerate(self._lines):
            if index not in self._row_of and line.kind in _ENDS:
                ends.setdefault(line.key[1:], []).append(index)
        for row in told:
            if row.entry.kind in _ENDS and self._is_left(row) and self._is_covered(row):
                for index in ends.get(row.entry.key[1:], ()):
                    if possible(row.entry.at, self._lines[index].at):
                        ends[row.entry.key[1:]].remove(index)
                        self._drop.add(row.id)
                        break

    def _is_left(self, row: Kept) -> bool:
        return row.id not in self._paired and row.id not in self._drop

    def _is_covered(self, row: Kept) -> bool:
        """Whether the row's line would be in the log that was read, whatever leg it names."""
        since, until = self._covered
        return since + EARLY_S <= row.entry.at < until - TICK_S


def _only_log(row: Kept) -> bool:
    return row.entry.source == LOG and not row.confirmed
