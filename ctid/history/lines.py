"""The lines of a PBX's log that a comparison knows: those just read, and those that rows hold. Pure."""

from collections.abc import Callable, Hashable, Iterable, Sequence
from math import floor

from msgspec import Struct
from msgspec.structs import replace

from ctid.history.entries import LOG, Entry, Kept, Mark
from ctid.model.ids import LegId
from ctid.model.instant import Instant


class Line(Struct, kw_only=True, eq=False):
    """One line; `entry` is what it tells, under the leg that the log names."""

    entry: Entry
    mark: Mark
    holder: Kept | None = None
    """The row that the ledger has it in."""
    gone: bool = False
    """The log that was read does not have it; whoever has read it knows it still."""
    event: Kept | None = None
    """The row of the event that is the same moment."""
    leg: str | None = None
    """By which other id events know its leg, where that is known of this line alone."""


def lines_of(log: Iterable[Entry], kept: Sequence[Kept], time: tuple[float, float]) -> list[Line]:
    """The lines in the order of time; those of one second in that of the log.

    A line that was read is one that the ledger has if leg and second are the same, as often as both have it;
    or in the `time` that was read, where no line can be missing, if all but the leg is the same: it is told
    of another one since more is known. What the ledger has and the log no longer tells is a line as well.
    """
    read = [Line(entry=entry, mark=Mark(entry.leg, entry.at)) for entry in log]
    held = [(row, row.line) for row in kept if row.line is not None]
    since, until = floor(time[0]), time[1]

    def in_full(entry: Entry, mark: Mark) -> Hashable:
        return (entry.kind, entry.queue, mark, entry.agent)

    def whose_ever(entry: Entry, mark: Mark) -> Hashable:
        return (entry.kind, entry.queue, mark)

    def of_any_leg(entry: Entry, mark: Mark) -> Hashable:
        covered = since <= mark.at < until
        return (entry.kind, entry.queue, entry.agent, mark.at) if covered else in_full(entry, mark)

    for key in (in_full, whose_ever, of_any_leg):
        held = _recognise(read, held, key)
    gone = [Line(entry=_told(row, mark), mark=mark, holder=row, gone=True) for row, mark in held]
    return sorted(read + gone, key=lambda line: line.mark.at)


def _recognise(
    read: Sequence[Line], held: Sequence[tuple[Kept, Mark]], key: Callable[[Entry, Mark], Hashable]
) -> list[tuple[Kept, Mark]]:
    """Give rows their lines; returns the rows that are left."""
    free: dict[Hashable, list[Line]] = {}
    for line in reversed(read):
        if line.holder is None:
            free.setdefault(key(line.entry, line.mark), []).append(line)
    left: list[tuple[Kept, Mark]] = []
    for row, mark in held:
        lines = free.get(key(row.entry, mark))
        if not lines:
            left.append((row, mark))
            continue
        line = lines.pop()
        line.holder = row
        if row.entry.source == LOG and row.entry.agent:
            # Who it was is known best by whoever had the name then.
            line.entry = replace(line.entry, agent=row.entry.agent)
    return left


def _told(row: Kept, mark: Mark) -> Entry:
    """What the log has told of a row, as far as the row tells it."""
    return replace(row.entry, source=LOG, leg=LegId(mark.leg), at=Instant(mark.at))
