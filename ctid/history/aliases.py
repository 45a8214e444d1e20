"""By which ids events know the legs that a PBX's log names. Pure.

They are the same but for few: where a Local half waits for a caller, the log names the half, and events the
caller's own leg.
"""

from collections.abc import Iterable, Sequence

from ctid.history.align import soon
from ctid.history.entries import Entry, Kept
from ctid.history.lines import Line

_STRANGER = 4.0
"""What a line costs an event more, in seconds, if either is of a leg that the other side knows as well."""
_PLACE = 2.0
"""The same if they have the caller enter the queue at other places."""

_Where = tuple[str, str]
"""Queue and leg."""


class Aliases:
    """What rows and lines tell of it. `events` are the rows of events."""

    def __init__(self, events: Iterable[Kept], rows: Iterable[Kept], lines: Iterable[Line]) -> None:
        self._told = {(row.entry.queue, row.entry.leg) for row in events}
        self._read = {(line.entry.queue, line.mark.leg) for line in lines}
        self._known: dict[_Where, list[tuple[float, str]]] = {}
        """When it was which leg: a caller can take another's place in a queue."""
        for row in rows:
            if row.line is not None:
                self._learn((row.entry.queue, row.line.leg), row.line.at, row.entry.leg)

    def learn(self, line: Line, told: Entry) -> None:
        """Note that a line and an event are the same moment."""
        self._learn((line.entry.queue, line.mark.leg), line.mark.at, told.leg)

    def _learn(self, where: _Where, at: float, leg: str) -> None:
        if leg and leg != where[1] and where not in self._told:
            self._known.setdefault(where, []).append((at, leg))

    def guess(self, lines: Iterable[Line], rows: Sequence[Kept]) -> None:
        """Learn of lines that say when a caller came, where one event alone says the same.

        That nothing else is likely is enough: no count depends on whose moment it is taken for.
        """
        for line in lines:
            if line.entry.kind == "caller_queued" and not self.is_known(line):
                found = {row.entry.leg for row in rows if self._is_likely(line, row.entry)}
                if len(found) == 1:
                    self._learn((line.entry.queue, line.mark.leg), line.mark.at, found.pop())

    def _is_likely(self, line: Line, told: Entry) -> bool:
        same = (told.kind, told.queue, told.position) == (
            line.entry.kind,
            line.entry.queue,
            line.entry.position,
        )
        return same and soon(told.at, line.mark.at) and (told.queue, told.leg) not in self._read

    def is_known(self, line: Line) -> bool:
        """Whether it is known whose moment the line tells."""
        where = (line.entry.queue, line.mark.leg)
        return where in self._told or where in self._known

    def leg(self, line: Line) -> str:
        """By which id events know the line's leg; the log's own where that is not known."""
        known = self._known.get((line.entry.queue, line.mark.leg))
        return min(known, key=lambda was: abs(was[0] - line.mark.at))[1] if known else line.mark.leg

    def unlikely(self, line: Line, told: Entry) -> float:
        """How much speaks against it that a line and an event of another leg are the same moment."""
        against = _STRANGER * self.is_known(line)
        against += _STRANGER * ((told.queue, told.leg) in self._read)
        return against + _PLACE * (told.position != line.entry.position)
