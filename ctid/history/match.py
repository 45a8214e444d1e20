"""Which lines of a PBX's log the ledger has already, and which it lacks. Pure.

The log tells each moment once, in whole seconds; events tell the same moments in fractions of them, and a
little later. Within a key (kind, queue, leg, agent) the two are aligned in the order of time, one to one, and
anew in each comparison, from all events and all lines that are known: so it is no matter in what order they
came. What is then left over of the log is missing.

What is left over of events and lines of the same time may be the same moments in other words: the log names
nobody known, or another leg (a Local half that waits for a caller), or another end of a wait. A row remembers
its line, so that this is found out once.
"""

from collections.abc import Callable, Hashable, Iterable, Sequence
from math import floor

from msgspec import Struct
from msgspec.structs import replace

from ctid.history.aliases import Aliases
from ctid.history.align import EARLY_S, LATE_S, TICK_S, align, soon
from ctid.history.entries import BY_AGENTS, EVENT, LOG, Entry, Kept, Mark
from ctid.history.lines import Line, lines_of
from ctid.model.ids import LegId, QueueId


class Plan(Struct, frozen=True, kw_only=True):
    """What is to be done to the ledger so that it tells what events and log tell, once."""

    insert: tuple[Kept, ...] = ()
    """Rows of lines that no row tells."""
    mark: tuple[tuple[int, Mark | None], ...] = ()
    """Rows of events, and which line of the log each is now known to be, or no longer."""
    drop: tuple[int, ...] = ()
    """Rows that another row, or one to be inserted, tells as well, or better."""
    doubtful: tuple[Kept, ...] = ()
    """Rows of events that the log, though it covers their time, does not have."""
    strange: int = 0
    """Of the inserted, those of a leg that may have been told under another id, which is not known."""


def compare(
    log: Iterable[Entry],
    kept: Iterable[Kept],
    covered: tuple[float, float],
    strange: frozenset[LegId] = frozenset(),
) -> Plan:
    """Compare what the log tells with what the ledger has.

    `log` has all lines of the time `covered` (from, until), and of each leg with a line in it also those
    before. What was before that time is in the ledger as far as it can be known, so that such lines are there
    to be recognised, and none is inserted. `kept` has all rows of the time, and of those legs, whether the
    row or its line names them; others as well, to tell by which other id events know a leg.
    `strange` are legs of the log that may be another's there.
    """
    comparison = _Comparison(log, kept, covered, strange)
    comparison.run()
    return comparison.plan()


def settle(kept: Iterable[Kept]) -> Plan:
    """Find out which of the lines known an event is that has just come; `kept` are all rows of its key."""
    comparison = _Comparison((), kept, _NO_TIME)
    comparison.run()
    return comparison.plan()


_ENDS = frozenset({"caller_abandoned", "caller_left"})
"""How a wait can end without an agent; events tell only in pieces which of the two it was."""

_OfEvent = Callable[[Entry], Hashable]
_OfLine = Callable[[Line], Hashable]
_Cost = Callable[[Kept, Line], float | None]
_NO_TIME = (1e12, -1e12)
"""Covers nothing."""


class _Comparison:
    def __init__(
        self,
        log: Iterable[Entry],
        kept: Iterable[Kept],
        covered: tuple[float, float],
        unsure: frozenset[LegId] = frozenset(),
    ) -> None:
        rows = list(kept)
        self._since, self._until = covered
        self._unsure = unsure
        self._events = sorted(
            (row for row in rows if row.entry.source == EVENT), key=lambda row: row.entry.at
        )
        self._lines = lines_of(log, rows, covered)
        self._aliases = Aliases(self._events, rows, self._lines)
        self._line_of: dict[int, Line] = {}
        """By the id of an event's row."""
        self._other_end: set[int] = set()
        """Rows of events that a line tells better."""

    def run(self) -> None:
        self._pair(lambda entry: entry.key, lambda line: line.entry.key, self._near)
        # The log may name somebody who is not known, and whom the event, or an earlier reading, does know.
        self._pair(lambda entry: entry.key[:3], self._nameless, self._near)
        # What was found out of other ids stands, but where all of it can be looked at again.
        self._pair_again(lambda row, line: row.entry.leg == line.mark.leg or not self._is_open(row, line))
        self._aliases.guess(self._lines_before(), self._left())
        self._pair(lambda entry: entry.key, lambda line: (*self._known(line), line.entry.agent), self._before)
        self._pair(
            lambda entry: (entry.kind, entry.queue, entry.agent),
            lambda line: (line.entry.kind, line.entry.queue, line.entry.agent),
            self._elsewhere,
        )
        self._pair(lambda entry: (entry.kind, entry.queue), self._nobody, self._elsewhere)
        self._pair_again(lambda _, __: True)
        self._other_ends(lambda entry: entry.leg, lambda line: self._known(line)[2])
        self._other_ends(lambda _: "", lambda _: "")

    def plan(self) -> Plan:
        insert: list[Kept] = []
        drop = set(self._other_end)
        strange = 0
        before = {(line.entry.queue, line.mark.leg) for line in self._lines_before()}
        for line in self._lines:
            holder = line.holder
            if line.event is not None:
                if holder is not None and holder.entry.source == LOG:
                    drop.add(holder.id)
            elif holder is None:
                if line.mark.at >= floor(self._since):
                    insert.append(self._row(line))
                    strange += self._is_strange(line, before)
            elif holder.entry.source == EVENT:
                # Its own line has come. If it was taken for one of another leg, that is told already.
                if holder.entry.leg == line.mark.leg or line.mark.at >= floor(self._since):
                    insert.append(self._row(line))
            elif _is_better(better := self._row(line), holder):
                insert.append(better)
                drop.add(holder.id)
        return Plan(
            insert=tuple(insert),
            mark=tuple(self._marks()),
            drop=tuple(sorted(drop)),
            doubtful=tuple(row for row in self._left() if self._is_covered(row)),
            strange=strange,
        )

    # Pairing --------------------------------------------------------------------------------------

    def _pair(self, of_event: _OfEvent, of_line: _OfLine, cost: _Cost) -> None:
        """Align the events and lines that are left, group by group."""
        for row, line in self._aligned(of_event, of_line, cost):
            self._take(row, line)

    def _aligned(self, of_event: _OfEvent, of_line: _OfLine, cost: _Cost) -> list[tuple[Kept, Line]]:
        groups: dict[Hashable, tuple[list[Kept], list[Line]]] = {}
        for row in self._left():
            groups.setdefault(of_event(row.entry), ([], []))[0].append(row)
        for line in self._lines:
            if line.event is None and (group := groups.get(of_line(line))) is not None:
                group[1].append(line)
        return [
            (rows[event], lines[index])
            for rows, lines in groups.values()
            for event, index in _aligned(rows, lines, cost)
        ]

    def _take(self, row: Kept, line: Line) -> None:
        line.event = row
        self._line_of[row.id] = line
        self._aliases.learn(line, row.entry)

    def _pair_again(self, wanted: Callable[[Kept, Line], bool]) -> None:
        """Of what was paired before, under two ids or two names, what is left of both."""
        for line in self._lines:
            row = line.holder
            if line.event is None and row is not None and self._is_left(row) and wanted(row, line):
                self._take(row, line)

    def _other_ends(self, of_event: Callable[[Entry], str], of_line: Callable[[Line], str]) -> None:
        """An event that took one end of a wait for another: the log knows whether the caller hung up."""

        def end_of(entry: Entry) -> Hashable:
            return (entry.queue, of_event(entry)) if entry.kind in _ENDS else ()

        def line_end(line: Line) -> Hashable:
            free = line.entry.kind in _ENDS and line.leg is None
            return (line.entry.queue, of_line(line)) if free else None

        for row, line in self._aligned(end_of, line_end, self._elsewhere):
            self._other_end.add(row.id)
            line.leg = row.entry.leg

    def _known(self, line: Line) -> tuple[str, str, str]:
        """Kind, queue and leg of a line, the leg by the id that events know it by."""
        entry = line.entry
        return (entry.kind, entry.queue, self._aliases.leg(line))

    def _nameless(self, line: Line) -> Hashable:
        return None if line.entry.agent else line.entry.key[:3]

    def _nobody(self, line: Line) -> Hashable:
        entry = line.entry
        return None if entry.agent or entry.kind not in BY_AGENTS else (entry.kind, entry.queue)

    # How likely it is -----------------------------------------------------------------------------

    def _near(self, row: Kept, line: Line) -> float | None:
        """By the times alone; an event whose own line may not have been read must be close."""
        late = row.entry.at - line.mark.at
        if soon(row.entry.at, line.mark.at):
            return late
        if line.holder is row or row.entry.at < self._until - TICK_S:
            return LATE_S + abs(late)
        return None

    def _before(self, row: Kept, line: Line) -> float | None:
        """The same where an event cannot be compared with all that it could be."""
        return None if self._is_open(row, line) else self._near(row, line)

    def _elsewhere(self, row: Kept, line: Line) -> float | None:
        """The same where it can, whatever leg they are of."""
        near = self._near(row, line) if self._is_open(row, line) else None
        if near is None:
            return None
        # A late event of another leg may be of a line from before all that was read.
        ours = self._aliases.leg(line) == row.entry.leg
        if near >= LATE_S and not ours and row.entry.at - LATE_S < self._since:
            return None
        return near if ours else near + self._aliases.unlikely(line, row.entry)

    def _is_open(self, row: Kept, line: Line) -> bool:
        """Whether both are of the time of which all lines were read."""
        since = floor(self._since)
        return since <= row.entry.at < self._until - TICK_S and since <= line.mark.at and not line.gone

    def _is_covered(self, row: Kept) -> bool:
        """Whether the row's line must be in the log that was read, whatever leg it names."""
        return self._since + EARLY_S <= row.entry.at < self._until - TICK_S

    # What becomes of it ---------------------------------------------------------------------------

    def _left(self) -> list[Kept]:
        """Rows of events that no line is yet."""
        return [row for row in self._events if self._is_left(row)]

    def _is_left(self, row: Kept) -> bool:
        taken = row.id in self._line_of or row.id in self._other_end
        return row.entry.source == EVENT and not taken

    def _lines_before(self) -> list[Line]:
        """Lines from before what is covered that no row has: events told them under other ids."""
        since = floor(self._since)
        return [
            line
            for line in self._lines
            if line.holder is None and line.event is None and line.mark.at < since
        ]

    def _marks(self) -> Iterable[tuple[int, Mark | None]]:
        for row in self._events:
            line = self._line_of.get(row.id)
            mark = line.mark if line is not None else None
            if mark != row.line and row.id not in self._other_end:
                yield row.id, mark

    def _row(self, line: Line) -> Kept:
        """The row of a line that no event has told."""
        leg = LegId(self._aliases.leg(line) if line.leg is None else line.leg)
        return Kept(0, replace(line.entry, leg=leg), line.mark)

    def _is_strange(self, line: Line, before: set[tuple[QueueId, str]]) -> bool:
        known = line.leg is not None or self._aliases.is_known(line)
        doubted = line.mark.leg in self._unsure or (line.entry.queue, line.mark.leg) in before
        return doubted and not known


def _is_better(new: Kept, old: Kept) -> bool:
    """Whether a row of the log alone is to be replaced: more is known of whose moment it is."""
    return (new.entry.agent, new.entry.leg, new.line) != (old.entry.agent, old.entry.leg, old.line)


def _aligned(rows: Sequence[Kept], lines: Sequence[Line], cost: _Cost) -> list[tuple[int, int]]:
    return align(
        [row.entry.at for row in rows],
        [line.mark.at for line in lines],
        lambda event, line: cost(rows[event], lines[line]),
    )
