from itertools import combinations, pairwise

from hypothesis import given
from hypothesis import strategies as st

from ctid.history.align import EARLY_S, LATE_S, align

TIMES = st.lists(st.integers(0, 60).map(lambda half: half / 2), max_size=6).map(sorted)


def likely(event_at: float, line_at: float) -> float | None:
    """A cost: how long after its line an event is; none before it, and none too long after it."""
    late = event_at - line_at
    return late if -1.0 <= late <= LATE_S - 1 and late != 1.5 else None


def test_all_at_once() -> None:
    """An event leaves the line that is nearest to it to one that has no other."""
    cost = {(0, 0): 1.0, (0, 1): 0.0, (1, 1): 0.5}
    assert align([2.0, 2.5], [1.0, 2.0], lambda event, line: cost.get((event, line))) == [(0, 0), (1, 1)]


def test_nothing_to_pair() -> None:
    """Without events, lines, or a line near enough, there is no pair."""
    assert align([], [1.0], lambda _, __: 0.0) == []
    assert align([1.0], [], lambda _, __: 0.0) == []
    assert align([0.0, 50.0], [EARLY_S + 0.1, 49.9 - LATE_S], lambda _, __: 0.0) == []


@given(events=TIMES, lines=TIMES)
def test_the_best_there_is(events: list[float], lines: list[float]) -> None:
    """No choice of pairs that do not cross has more of them, nor as many at less cost."""

    def cost(event: int, line: int) -> float | None:
        late = likely(events[event], lines[line])
        return abs(late) if late is not None else None

    found = align(events, lines, cost)
    assert found == sorted(found)
    assert len({event for event, _ in found}) == len({line for _, line in found}) == len(found)
    assert all(one[1] < other[1] for one, other in pairwise(found))
    costs = [cost(event, line) for event, line in found]
    assert None not in costs
    possible = []
    for count in range(min(len(events), len(lines)) + 1):
        for some in combinations(range(len(events)), count):
            for others in combinations(range(len(lines)), count):
                each = [cost(event, line) for event, line in zip(some, others, strict=True)]
                if None not in each:
                    possible.append((-count, sum(filter(None, each))))
    assert (-len(found), sum(filter(None, costs))) == min(possible)
