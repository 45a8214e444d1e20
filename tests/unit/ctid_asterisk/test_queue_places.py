import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctid_asterisk.queue_places import Entry, moves


def served(entries: list[Entry], given_to: list[tuple[str, int]]) -> list[Entry]:
    """What Asterisk makes of priorities that are given one after the other."""
    line = list(entries)
    for channel, priority in given_to:
        entry = next(entry for entry in line if entry.channel == channel)
        line.remove(entry)
        behind = next((at for at, other in enumerate(line) if other.priority < priority), len(line))
        line.insert(behind, Entry(entry.unique, channel, priority))
    return line


def waiting(*priorities: int) -> list[Entry]:
    """Callers with these priorities, in the order of a queue."""
    return [Entry(str(at), f"c{at}", priority) for at, priority in enumerate(priorities)]


@given(st.lists(st.integers(0, 3), min_size=1, max_size=7), st.data())
def test_the_caller_is_there_and_the_others_keep_their_order(
    priorities: list[int], data: st.DataObject
) -> None:
    """Whatever priorities there were, and wherever he stood behind that place."""
    entries = waiting(*sorted(priorities, reverse=True))
    who = data.draw(st.integers(0, len(entries) - 1))
    position = data.draw(st.integers(1, len(entries) + 1))
    before = [entry.unique for entry in entries]
    after = [entry.unique for entry in served(entries, moves(entries, str(who), position))]
    expected = [unique for unique in before if unique != str(who)]
    expected.insert(min(who, position - 1), str(who))
    assert after == expected


def test_only_what_is_needed() -> None:
    """One priority, where the place is free for it; none where he is there already."""
    assert moves(waiting(0, 0, 0), "2", 1) == [("c2", 1)]
    assert moves(waiting(5, 0, 0), "2", 2) == [("c2", 1)]
    assert moves(waiting(0, 0, 0), "2", 2) == [("c0", 1), ("c2", 1)]
    assert moves(waiting(0, 0), "0", 1) == moves(waiting(0, 0), "0", 2) == []
    with pytest.raises(KeyError):
        moves(waiting(0), "9", 1)
