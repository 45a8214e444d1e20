from collections import defaultdict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from ctid.webhooks.line import Letter, Line

NOW = 100.0


def letter(position: int, subject: str = "a") -> Letter:
    """A letter."""
    return Letter(position, subject, 1.0)


def line(*letters: Letter, **bounds: int) -> Line:
    """A line with letters."""
    made = Line(**bounds)
    for each in letters:
        assert made.add(each) == []
    return made


def taken(of: Line, now: float = NOW) -> list[int]:
    """All that it gives now."""
    found = []
    while (letter := of.take(now)) is not None:
        found.append(letter.position)
    return found


def test_one_subject_goes_in_order() -> None:
    """The next of a subject goes when the one before has arrived; others go beside it, up to the bound."""
    made = line(letter(1), letter(2), letter(3, "b"), letter(4, "c"), in_flight=2)
    first = made.take(NOW)
    assert first is not None
    assert (first.position, taken(made)) == (1, [3])
    assert made.wait(NOW) is None  # not by time alone
    made.delivered(first)
    assert taken(made) == [2]
    made.remove(3)
    assert taken(made) == [4]
    assert len(made) == 2


def test_a_failure_is_the_receivers_first() -> None:
    """After it all wait, longer each time, and one of another subject is tried next; all return in order."""
    made = line(letter(1), letter(2, "b"), letter(3, "c"))
    first = made.take(NOW)
    assert first is not None
    made.failed(first, NOW, 0.0)
    assert (made.failures, taken(made, NOW + 0.9), made.wait(NOW)) == (1, [], 1.0)
    second = made.take(NOW + 1)
    assert second is not None
    assert second.position == 2
    assert taken(made, NOW + 1) == []  # one at a time, while it fails
    assert made.wait(NOW + 1) is None
    made.failed(second, NOW + 1, 0.0)
    assert made.wait(NOW + 1) == 2.0
    third = made.take(NOW + 3)
    assert third is not None
    made.delivered(third)
    assert made.failures == 0
    assert taken(made, NOW + 3) == [1, 2]


def test_those_that_failed_take_turns() -> None:
    """When each has been tried, the one that was tried first is the next."""
    made = line(letter(1), letter(2, "b"))
    now, found = NOW, []
    for _ in range(4):
        each = made.take(now)
        assert each is not None
        found.append(each.position)
        made.failed(each, now, 0.0)
        now += made.wait(now) or 0.0
    assert found == [1, 2, 1, 2]
    assert made.failures == 4


def test_a_letter_at_fault_holds_up_its_subject_alone() -> None:
    """What fails again although others arrived waits by itself, longer each time; others are sent as ever."""
    made = line(letter(1), letter(2), letter(3, "b"), letter(4, "c"), letter(5, "d"))
    bad, good = made.take(NOW), made.take(NOW)
    assert bad is not None
    assert good is not None
    made.failed(bad, NOW, 0.0)
    made.delivered(good)
    again = made.take(NOW)
    assert again is bad
    made.failed(bad, NOW, 0.0)
    assert (bad.tries, bad.faults, made.failures) == (2, 1, 0)
    fourth = made.take(NOW)
    assert fourth is not None
    assert (fourth.position, taken(made)) == (4, [5])
    assert made.wait(NOW) == 1.0
    made.delivered(fourth)
    assert made.take(NOW + 1) is bad
    made.failed(bad, NOW + 1, 0.0)
    assert (made.wait(NOW + 1), bad.faults) == (2.0, 2)
    made.remove(1)
    assert taken(made, NOW + 1) == [2]


def test_what_was_under_way_is_one_failure() -> None:
    """Four that fail together do not make the wait four times as long."""
    made = line(*[letter(number, str(number)) for number in range(1, 5)])
    flying = [made.take(NOW) for _ in range(4)]
    for each in flying:
        assert each is not None
        made.failed(each, NOW, 0.0)
    assert made.failures == 1
    assert made.wait(NOW) == 1.0


def test_a_rest_is_given() -> None:
    """What the receiver asks for holds for all, also when another letter arrives meanwhile."""
    made = line(letter(1), letter(2, "b"), letter(3, "c"))
    first, second = made.take(NOW), made.take(NOW)
    assert first is not None
    assert second is not None
    made.failed(first, NOW, 0.0, 60.0)
    made.delivered(second)
    assert taken(made, NOW + 59) == []
    assert made.wait(NOW) == 60.0
    assert taken(made, NOW + 60) == [1, 3]


def test_the_bound() -> None:
    """The oldest that is not on its way is pushed out; a later one of its subject keeps its place."""
    made = line(letter(1), letter(2), letter(3, "b"), most=3)
    first = made.take(NOW)
    assert first is not None
    assert made.add(letter(4)) == [2]
    made.delivered(first)
    assert taken(made) == [3, 4]


def test_nothing_to_push_out() -> None:
    """When all others are on their way, it is the new one that goes."""
    made = line(letter(1), most=1)
    assert taken(made) == [1]
    assert made.add(letter(2)) == [2]


def test_what_went_meanwhile_is_not_tried_again() -> None:
    """A letter that was removed while it was under way, or waits for its turn, is gone."""
    made = line(letter(1), letter(2, "b"))
    first = made.take(NOW)
    assert first is not None
    made.remove(1)
    made.failed(first, NOW, 0.0)
    made.remove(2)
    made.remove(2)
    assert (taken(made), len(made), made.wait(NOW)) == ([], 0, None)


def test_clear() -> None:
    """All is as at the beginning, and letters can come back."""
    made = line(letter(1), letter(2), letter(3, "b"))
    first = made.take(NOW)
    assert first is not None
    made.failed(first, NOW, 0.0, 60.0)
    assert made.clear() == 3
    assert (len(made), made.failures, taken(made)) == (0, 0, [])
    assert made.add(letter(1)) == []
    assert taken(made) == [1]


class Lines(RuleBasedStateMachine):
    """Any letters, taken, delivered, failed and removed in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.line = Line(most=12, in_flight=3)
        self.now = 0.0
        self.position = 0
        self.there: dict[int, Letter] = {}
        self.flying: dict[int, Letter] = {}
        self.arrived: dict[str, list[int]] = defaultdict(list)

    @rule(subject=some.sampled_from("abcd"))
    def add(self, subject: str) -> None:
        """One more; at most one goes for it, and none that is under way."""
        self.position += 1
        new = letter(self.position, subject)
        self.there[self.position] = new
        for position in self.line.add(new):
            assert position not in self.flying
            del self.there[position]

    @rule(seconds=some.floats(0, 400))
    def pass_time(self, seconds: float) -> None:
        """Time passes."""
        self.now += seconds

    @rule()
    def take(self) -> None:
        """What is given is there, is not under way, and is the first of its subject."""
        given = self.line.take(self.now)
        if given is None:
            return
        assert given.position not in self.flying
        assert given.subject not in {each.subject for each in self.flying.values()}
        assert given.position == min(p for p, each in self.there.items() if each.subject == given.subject)
        self.flying[given.position] = given

    @precondition(lambda self: self.flying)
    @rule(data=some.data(), outcome=some.sampled_from(["delivered", "failed", "rest", "removed"]))
    def end(self, data: some.DataObject, outcome: str) -> None:
        """One that is under way comes to an end."""
        each = self.flying.pop(data.draw(some.sampled_from(sorted(self.flying))))
        if outcome == "delivered":
            self.line.delivered(each)
            self.arrived[each.subject].append(each.position)
        elif outcome == "removed":
            self.line.remove(each.position)
        else:
            self.line.failed(each, self.now, 0.5, 30.0 if outcome == "rest" else 0.0)
        if outcome in ("delivered", "removed"):
            del self.there[each.position]

    @invariant()
    def all_is_in_order(self) -> None:
        """Nothing is lost, no subject overtakes itself, and what waits is given some time."""
        assert len(self.line) == len(self.there)
        for positions in self.arrived.values():
            assert positions == sorted(positions)
        if self.there and not self.flying:
            wait = self.line.wait(self.now)
            assert wait is not None
            assert wait <= 300.0


Lines.TestCase.settings = settings(max_examples=60, stateful_step_count=60, deadline=None)
TestLines = Lines.TestCase


@given(some.lists(some.sampled_from("abc"), max_size=30))
def test_all_arrive_after_an_outage(subjects: list[str]) -> None:
    """However many tries fail first, all arrive once the receiver is back, each subject in its order."""
    made = line(*[letter(position, subject) for position, subject in enumerate(subjects)])
    now = NOW
    for _ in range(7):
        each = made.take(now)
        if each is None:
            break
        made.failed(each, now, 0.0)
        now += made.wait(now) or 0.0
    arrived: dict[str, list[int]] = defaultdict(list)
    while (each := made.take(now)) is not None:
        made.delivered(each)
        arrived[each.subject].append(each.position)
    for subject, positions in arrived.items():
        assert positions == [number for number, each in enumerate(subjects) if each == subject]
    assert len(made) == 0
    assert sum(map(len, arrived.values())) == len(subjects)


@pytest.mark.parametrize("now", [NOW])
def test_an_empty_line_waits_for_nothing(now: float) -> None:
    """Not by time alone."""
    assert Line().wait(now) is None
