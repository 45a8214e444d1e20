"""Two ordered lists of times, of events and of lines of a log, brought together one to one. Pure.

Whom a line belongs to depends on all of its neighbours: the line nearest to an event may be the only one that
another event can be. So the pairs are not chosen one after the other, but all at once.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence

TICK_S = 1.3
"""An event comes at most so long after the second in which the log has it, on a PBX at ease."""
LATE_S = 10.0
"""The same on a busy one."""
EARLY_S = 2.0
"""By so much may an event be before its line: where ctid's clock is not the PBX's."""

Cost = Callable[[int, int], float | None]
"""How unlikely it is that an event is a line, both by their index: from 0 to 100; none where it is not."""

_PAIR = 1e7
"""What a pair is worth: more than all costs together, so that as many as possible are found."""


def soon(event_at: float, line_at: float) -> bool:
    """Whether an event of that time is most likely the moment that the log has in that second."""
    return 0.0 <= event_at - line_at < TICK_S


def align(events: Sequence[float], lines: Sequence[float], cost: Cost) -> list[tuple[int, int]]:
    """The most pairs of an event and a line that do not cross; of several such choices the cheapest.

    Both are in the order of time. `cost` is asked for lines from `LATE_S` before the event to `EARLY_S` after
    it alone. Returns the pairs' indexes in order. Time and memory grow with the events and the lines that
    are so near to each.
    """
    bands: list[tuple[int, int]] = []
    worths: list[list[float]] = []
    """By event: what the best choice of it and those before it is worth, with the lines up to each one of its
    band; the first entry is without any line of it."""
    for event, at in enumerate(events):
        low, high = bisect_left(lines, at - LATE_S), bisect_right(lines, at + EARLY_S)
        worth = [_before(bands, worths, low)]
        for line in range(low, high):
            best = max(worth[-1], _before(bands, worths, line + 1))
            unlikely = cost(event, line)
            if unlikely is not None:
                best = max(best, _before(bands, worths, line) + _PAIR - unlikely)
            worth.append(best)
        bands.append((low, high))
        worths.append(worth)
    return _chosen(bands, worths, len(lines))


def _before(bands: list[tuple[int, int]], worths: list[list[float]], lines: int) -> float:
    """What the events so far are worth with the first so many lines, which reach at least to their band."""
    if not bands:
        return 0.0
    low, high = bands[-1]
    return worths[-1][min(lines, high) - low]


def _chosen(bands: list[tuple[int, int]], worths: list[list[float]], lines: int) -> list[tuple[int, int]]:
    pairs: list[tuple[int, int]] = []
    while bands:
        (low, high), worth = bands.pop(), worths.pop()
        lines = min(lines, high)
        while lines > low and worth[lines - low] == worth[lines - low - 1]:
            lines -= 1
        if worth[lines - low] == _before(bands, worths, lines):
            continue
        # Only the pair of this event and that line can make the difference.
        pairs.append((len(bands), lines - 1))
        lines -= 1
    return pairs[::-1]
