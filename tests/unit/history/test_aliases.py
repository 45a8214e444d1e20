"""Callers whom the log knows by other ids than events: by a Local half, or by who was there before them."""

from msgspec.structs import replace

from ctid.history.entries import Entry, Kept
from ctid.history.match import Plan, compare
from helpers.floor import BASE
from helpers.moments import entry, line, mark, row, rows

HALF, CALLER = "5.2", "5.1"


def placed(told: Entry, position: int) -> Entry:
    """The same at that place in the queue."""
    return replace(told, position=position)


def of_caller(told: Entry, leg: str = CALLER) -> Kept:
    """The row of a line that the log has under the half's id."""
    return Kept(0, replace(told, leg=leg), mark(told))


def plan(log: list[Entry], kept: list[Kept], since: float = -1000.0, until: float = 1000.0) -> Plan:
    """Compare a log of that time."""
    return compare(log, kept, (BASE + since, BASE + until))


def test_a_half_that_waits() -> None:
    """What was told of the caller is the half's line; what is missing is inserted as the caller's."""
    log = [line(at=1.0, leg=HALF), line("caller_answered", 9.0, HALF, "1001")]
    found = plan(log, rows(entry(at=1.1, leg=CALLER)))
    assert found == Plan(insert=(of_caller(log[1]),), mark=((1, mark(log[0])),))


def test_again() -> None:
    """Read once more, also as what was before, the half's lines are the rows that they were."""
    log = [line(at=1.0, leg=HALF), line("caller_answered", 9.0, HALF, "1001")]
    kept = [row(1, entry(at=1.1, leg=CALLER), log[0]), replace_id(of_caller(log[1]), 2)]
    assert plan(log, kept) == Plan()
    assert plan(log, kept, since=8.0) == Plan()
    assert plan(log, kept, since=500.0) == Plan()


def replace_id(kept: Kept, ident: int) -> Kept:
    """The row with that number."""
    return Kept(ident, kept.entry, kept.line)


def test_an_event_after_the_line_of_the_half() -> None:
    """The event of a line that was read already takes its place, under either id."""
    log = [line(at=1.0, leg=HALF)]
    assert plan(log, [row(1, log[0]), row(2, entry(at=1.1, leg=CALLER))]) == Plan(
        mark=((2, mark(log[0])),), drop=(1,)
    )
    answered = line("caller_answered", 9.0, HALF, "1001")
    told = entry("caller_answered", 9.2, CALLER, "1001")
    kept = [row(1, entry(at=1.1, leg=CALLER), log[0]), replace_id(of_caller(answered), 2), row(3, told)]
    assert plan([*log, answered], kept) == Plan(mark=((3, mark(answered)),), drop=(2,))


def test_who_waits_since_before() -> None:
    """Who came before what is compared does not come again, and what follows is told as the caller's."""
    came, left = placed(line(at=1.0, leg=HALF), 1), line("caller_abandoned", 300.0, HALF)
    told = placed(entry(at=1.1, leg=CALLER), 1)
    assert plan([came, left], rows(told), since=200.0) == Plan(
        insert=(of_caller(left),), mark=((1, mark(came)),)
    )


def test_whose_it_is_cannot_be_known() -> None:
    """Of two who came in that second neither is taken for it: the moment counts, and is told as strange."""
    came, left = placed(line(at=1.0, leg=HALF), 1), line("caller_abandoned", 300.0, HALF)
    told = [placed(entry(at=1.1, leg=leg), 1) for leg in (CALLER, "6.1")]
    found = plan([came, left], rows(*told), since=200.0)
    assert found == Plan(insert=(row(0, left),), strange=1)
    elsewhere = [
        placed(entry(at=1.1, leg=CALLER), 2),
        placed(entry(at=3.0, leg="6.1"), 1),
        entry("caller_abandoned", 1.2, CALLER),
    ]
    assert plan([came, left], rows(*elsewhere), since=200.0) == found


def test_who_is_known_to_the_log_is_not_the_half() -> None:
    """Of two who came in that second one is in the log under an id of his own."""
    came, left = line(at=1.0, leg=HALF), line("caller_abandoned", 300.0, HALF)
    rang = line("offer_missed", 99.0, HALF, "1001")
    other = [line(at=1.0, leg="6.1"), line("caller_abandoned", 301.0, leg="6.1")]
    told = [entry(at=1.1, leg="6.1"), entry(at=1.2, leg=CALLER)]
    found = plan([rang, came, left, *other], rows(*told), since=200.0)
    assert found.insert == (of_caller(left), row(0, other[1]))
    assert found.strange == 0


def test_a_caller_takes_anothers_place() -> None:
    """Where two have been behind one half, a moment is of whom it was then."""
    log = [
        line(at=1.0, leg=HALF),
        line("offer_missed", 5.0, HALF, "1001"),
        line("offer_missed", 25.0, HALF, "1001"),
        line("caller_answered", 30.0, HALF, "1001"),
    ]
    told = [entry(at=1.2, leg="4.1"), entry("caller_answered", 30.2, CALLER, "1001")]
    found = plan(log, rows(*told))
    assert found.insert == (of_caller(log[1], "4.1"), of_caller(log[2], CALLER))


def test_a_transfer_into_a_queue() -> None:
    """The log names the transferer where the caller came, and him where he is answered; so do events."""
    log = [line(at=1.0, leg="4.2"), line("caller_answered", 9.0, CALLER, "1001")]
    told = [entry(at=1.1, leg="4.2"), entry("caller_answered", 9.1, CALLER, "1001")]
    assert plan(log, rows(*told)) == Plan(mark=((1, mark(log[0])), (2, mark(log[1]))))
    assert plan(log, rows(told[0])) == Plan(insert=(row(0, log[1]),), mark=((1, mark(log[0])),))
    assert plan(log, rows(told[1]), since=5.0) == Plan(mark=((1, mark(log[1])),))


def test_an_end_of_the_half() -> None:
    """An event that took one end of a wait for another gives way to the half's line, as the caller's."""
    left = line("caller_left", 4.0, HALF)
    told = entry("caller_abandoned", 4.2, CALLER)
    assert plan([left], rows(told)) == Plan(insert=(of_caller(left),), drop=(1,))
    assert plan([left], [row(1, told), row(2, left)]) == Plan(insert=(of_caller(left),), drop=(1, 2))
    both = [left, line("caller_left", 4.0, "7.2")]
    found = plan(both, [row(1, told), row(2, entry("caller_abandoned", 4.3, "7.1"))])
    assert sorted(kept.entry.leg for kept in found.insert) == [CALLER, "7.1"]
    assert found.drop == (1, 2)


def test_a_late_event_of_the_half() -> None:
    """Late events are the half's lines where the log that was read has all that they can be."""
    log = [line(at=41.0, leg=HALF)]
    late = rows(entry(at=46.0, leg=CALLER))
    assert plan(log, late, since=0.0) == Plan(mark=((1, mark(log[0])),))
    assert plan(log, late, since=40.0).insert == (row(0, log[0]),)


def test_the_log_tells_it_of_another_leg() -> None:
    """A line that is read again under another leg, as more is known of it, is the line that it was."""
    before, now = line(at=1.0, leg=HALF), line(at=1.0, leg=CALLER)
    assert plan([now], [row(1, before)]) == Plan(insert=(row(0, now),), drop=(1,))
    told = entry(at=1.1, leg=CALLER)
    assert plan([now], [row(1, told, before)]) == Plan(mark=((1, mark(now)),))


def test_taken_for_another() -> None:
    """An event that was taken for the half's leaves that line when its own turns up; it is told already."""
    half, own = line(at=1.0, leg=HALF), line(at=1.0, leg="6.1")
    kept = [row(1, entry(at=1.1, leg="6.1"), half), row(2, entry(at=1.2, leg=CALLER))]
    log = [half, own, line("caller_abandoned", 300.0, "6.1")]
    found = plan(log, kept, since=200.0)
    assert [told.entry for told in found.insert] == [log[2]]
    assert dict(found.mark)[1] == mark(own)


def test_an_unknown_caller_is_nobodys_other_id() -> None:
    """An event without a leg says nothing of whose the line is."""
    log = [line("call_served", 5.0, HALF, "1001"), line("offer_missed", 8.0, HALF, "1001")]
    found = plan(log, rows(entry("call_served", 5.3, "", "1001")))
    assert found == Plan(insert=(row(0, log[1]),), mark=((1, mark(log[0])),))


def test_two_halves_of_one_second() -> None:
    """Taken for each other, they leave each moment counted once, whatever comes of it later."""
    log = [line(at=1.0, leg="6.2"), line(at=1.0, leg=HALF)]
    log += [line("caller_abandoned", 6.0, "6.2"), line("caller_abandoned", 11.0, HALF)]
    kept = [
        row(1, entry(at=1.0, leg=CALLER), log[0]),
        row(2, entry(at=1.1, leg="6.1"), log[1]),
        row(3, entry("caller_abandoned", 6.1, "6.1")),
        row(4, entry("caller_abandoned", 11.1, CALLER)),
    ]
    found = plan(log, kept)
    assert (found.insert, found.drop, found.doubtful) == ((), (), ())
    assert {ident: line for ident, line in found.mark if ident > 2} == {3: mark(log[2]), 4: mark(log[3])}


def test_where_the_reading_begins() -> None:
    """What was found out of the half's lines stands at the beginning of what is read once more as well."""
    log = [line("offer_missed", at, HALF, "1001") for at in (0.0, 0.0, 1.0, 1.0, 4.0)]
    times = (0.4, 0.8, 1.2, 1.6, 4.6)
    told = [entry("offer_missed", at, CALLER, "1001") for at in times]
    kept = [row(number, one, was) for number, (one, was) in enumerate(zip(told, log, strict=True), 1)]
    for since in (-20.0, -5.0, 0.0, 0.5, 1.0, 3.0, 5.0):
        assert plan(log, kept, since=since) == Plan(), since
