from collections.abc import Mapping

from msgspec.structs import replace

from ctid.history.entries import LOG, Entry, Kept, Mark
from ctid.history.match import Plan, compare, settle
from helpers.floor import BASE
from helpers.moments import entry, line, mark, row, rows

ALL = (BASE - 1000.0, BASE + 1000.0)


def plan(log: list[Entry], kept: list[Kept]) -> Plan:
    """Compare a log that covers all of the time."""
    return compare(log, kept, ALL)


def new(*lines: Entry) -> tuple[Kept, ...]:
    """Rows of lines that are to be inserted."""
    return tuple(row(0, told) for told in lines)


def marks(lines: Mapping[int, Entry]) -> tuple[tuple[int, Mark | None], ...]:
    """Which line of the log the event of each row now is."""
    return tuple((ident, mark(told)) for ident, told in lines.items())


def test_what_is_missing_is_inserted() -> None:
    """A line that no row is, is missing; one that an event told is confirmed."""
    log = [line(at=1.0), line("caller_abandoned", 4.0)]
    assert plan(log, rows(entry(at=1.2))) == Plan(insert=new(log[1]), mark=marks({1: log[0]}))


def test_a_second_reading_changes_nothing() -> None:
    """Rows of the log are their own lines again, however often it is read."""
    log = [line(at=1.0), line(at=1.0, leg="1.2"), line("caller_abandoned", 4.0)]
    assert plan(log, rows(*log)) == Plan()


def test_the_same_key_again_and_again() -> None:
    """Of four refusals in four seconds the event is the last: the three before it are missing."""
    log = [line("offer_missed", at, agent="1001") for at in (10.0, 11.0, 12.0, 13.0)]
    told = entry("offer_missed", 13.2, agent="1001")
    assert plan(log, rows(told)) == Plan(insert=new(*log[:3]), mark=marks({1: log[3]}))


def test_an_event_of_a_busy_pbx() -> None:
    """An event that came seconds after its line, or before it by another clock, is still that line."""
    found = Plan(mark=marks({1: line(at=1.0)}))
    assert plan([line(at=1.0)], rows(entry(at=7.0))) == found
    assert plan([line(at=1.0)], rows(entry(at=0.5))) == found
    late = plan([line(at=1.0)], rows(entry(at=30.0)))
    assert late.insert == new(line(at=1.0))


def test_confirmed_rows_stay_paired() -> None:
    """A row that was confirmed before is its line, and confirmed no second time."""
    assert plan([line(at=1.0)], rows(entry(at=1.2), confirmed=True)) == Plan()


def test_nameless_line_is_the_event_that_knows() -> None:
    """A line that names nobody known is the event of that caller, or what an earlier reading made of it."""
    nameless = line("offer_missed", 1.0)
    assert plan([nameless], rows(entry("offer_missed", 1.2, agent="1001"))) == Plan(mark=marks({1: nameless}))
    known = line("offer_missed", 1.0, agent="1001")
    assert plan([nameless], rows(known)) == Plan()


def test_a_better_reading_replaces() -> None:
    """A name that has become known takes the place of the row that had none."""
    nameless = line("offer_missed", 1.0)
    known = line("offer_missed", 1.0, agent="1001")
    assert plan([known], rows(nameless)) == Plan(insert=new(known), drop=(1,))
    other = line("offer_missed", 2.0, agent="1001")
    assert plan([other], rows(nameless)) == Plan(insert=new(other))


def test_a_double_is_dropped() -> None:
    """Row of the log and row of the event of one line, each soon or late: the event's stays, confirmed."""
    log = [line(at=1.0)]
    found = Plan(mark=marks({2: log[0]}), drop=(1,))
    assert plan(log, rows(log[0], entry(at=1.2))) == found
    assert plan(log, rows(log[0], entry(at=8.0))) == found
    nameless = line("offer_missed", 1.0)
    kept = rows(nameless, entry("offer_missed", 1.2, agent="1001"))
    assert plan([nameless], kept) == Plan(mark=marks({2: nameless}), drop=(1,))


def test_a_double_of_somebody_else_is_none() -> None:
    """Two agents who were offered one caller are two moments; so is a moment long after."""
    log = [line("offer_missed", 1.0, agent="1001")]
    stranger = entry("offer_missed", 1.2, agent="1002")
    assert plan(log, rows(log[0], stranger)).doubtful == (row(2, stranger),)
    later = entry("offer_missed", 60.0, agent="1001")
    assert plan(log, rows(log[0], later)).drop == ()


def test_another_leg_is_the_same_moment() -> None:
    """An event whose leg the log does not know is the line of that second that nothing else is."""
    served = line("call_served", 5.0, leg="1.1", agent="1001")
    assert plan([served], rows(entry("call_served", 5.3, leg="", agent="1001"))) == Plan(
        mark=marks({1: served})
    )


def test_what_the_log_does_not_cover_is_left_alone() -> None:
    """A row from before or after what was read is not doubted, nor taken for something else."""
    before, after = entry(at=-5.0, leg="1.8"), entry(at=9.9, leg="1.9")
    found = compare([line(at=1.0)], rows(before, after), (BASE, BASE + 10.0))
    assert found == Plan(insert=new(line(at=1.0)))


def test_doubt() -> None:
    """An event that the log does not have though it covers its time is told; a row of the log is not."""
    told = entry(at=5.0, leg="1.9")
    gone = replace(entry(at=5.0, leg="1.7"), source=LOG)
    assert plan([], rows(told, gone)).doubtful == (row(1, told),)
    assert plan([], rows(told, confirmed=True)).doubtful == ()


def test_a_row_is_one_line_only() -> None:
    """Two lines of a second with one row: one of them is missing."""
    log = [line("offer_missed", 1.0, agent="1001"), line("offer_missed", 1.0, agent="1001")]
    assert plan(log, rows(entry("offer_missed", 1.5, agent="1001"))) == Plan(
        insert=new(log[1]), mark=marks({1: log[0]})
    )
    nameless = line("offer_missed", 1.0)
    known = line("offer_missed", 1.0, agent="1001")
    found = plan([known, nameless], rows(nameless, nameless))
    assert (found.insert, len(found.drop)) == (new(known), 1)


def test_the_other_end_of_a_wait() -> None:
    """An event that told an abandon gives way to the log, which has it that the queue sent the caller on."""
    left = line("caller_left", 4.0)
    told = entry("caller_abandoned", 4.2)
    assert plan([left], rows(told)) == Plan(insert=new(left), drop=(1,))
    assert plan([left], rows(entry("caller_abandoned", 60.0))).drop == ()
    assert plan([left], rows(entry("caller_queued", 4.2))).drop == ()


def test_the_nearest_line_is_not_always_the_one() -> None:
    """An event told just after the next second began leaves that line to the event whose only one it is."""
    log = [line("offer_missed", second, agent="1001") for second in (9.0, 10.0)]
    told = [entry("offer_missed", when, agent="1001") for when in (10.01, 10.51)]
    assert plan(log, rows(*told)) == Plan(mark=marks({1: log[0], 2: log[1]}))
    # As it is found when the first has taken the wrong line before the second came.
    kept = [row(1, told[0], log[1]), row(2, log[0]), row(3, told[1])]
    assert plan(log, kept) == Plan(mark=marks({1: log[0], 3: log[1]}), drop=(2,))


def test_an_event_gives_its_line_up_to_the_one_before() -> None:
    """A line that was taken for a later event's is the earlier one's, and the later has that just read."""
    log = [line("offer_missed", second, agent="1001") for second in (12.0, 13.0)]
    early, late = (entry("offer_missed", when, agent="1001") for when in (12.92, 13.05))
    kept = [row(1, late, log[0]), row(2, early)]
    assert plan(log, kept) == Plan(mark=marks({2: log[0], 1: log[1]}))


def test_a_line_that_is_free_again() -> None:
    """An event whose nearer line has been read leaves the one that it had: that is a moment of its own."""
    log = [line("offer_missed", second, agent="1001") for second in (10.0, 11.0)]
    kept = [row(1, entry("offer_missed", 11.1, agent="1001"), log[0])]
    assert plan(log, kept) == Plan(insert=new(log[0]), mark=marks({1: log[1]}))
    assert plan([], kept) == Plan(), "what the log no longer tells stays"


def test_settling_an_event() -> None:
    """An event takes a line just before it; not one long before, whose own event may have been lost."""
    read = row(1, line(at=9.0))
    assert settle([read, row(2, entry(at=9.8))]) == Plan(mark=marks({2: read.entry}), drop=(1,))
    assert settle([read, row(2, entry(at=14.0))]) == Plan()
    took = [row(1, entry(at=14.0), read.entry), row(2, entry(at=14.5))]
    assert settle(took) == Plan(), "what was found when more was known stays"
    took = [row(1, entry(at=10.05), read.entry), row(2, entry(at=9.95))]
    assert settle(took) == Plan(mark=((2, mark(read.entry)), (1, None)))


def test_what_was_before_is_not_inserted() -> None:
    """A line from before the time that is compared tells what was told then, whoever's it is."""
    log = [line(at=1.0), line("caller_abandoned", 50.0)]
    assert compare(log, (), (BASE + 20.0, BASE + 100.0)).insert == new(log[1])


def test_a_name_that_changed() -> None:
    """What was read under somebody's name is hers, whoever has that name later."""
    hers, his = (line("offer_missed", 1.0, agent=agent) for agent in ("1001", "1002"))
    assert plan([his], rows(hers)) == Plan()
    told = entry("offer_missed", 1.2, agent="1001")
    assert plan([his], [row(1, told, hers)]) == Plan()


def test_nobody_known_and_another_leg() -> None:
    """A line of an unknown leg that names nobody known is the event that nothing else is."""
    nameless = line("offer_missed", 1.0, leg="1.9")
    found = plan([nameless], rows(entry("offer_missed", 1.2, agent="1001")))
    assert found == Plan(mark=marks({1: nameless}))
