from msgspec.structs import replace

from ctid.history.entries import LOG, Entry, Kept
from ctid.history.match import Plan, compare
from ctid.model.ids import AgentId, LegId
from helpers.floor import BASE
from helpers.moments import entry, line, rows

ALL = (BASE - 1000.0, BASE + 1000.0)


def plan(log: list[Entry], kept: list[Kept]) -> Plan:
    """Compare a log that covers all of the time."""
    return compare(log, kept, ALL)


def test_what_is_missing_is_inserted() -> None:
    """A line that no row is, is missing; one that an event told is confirmed."""
    log = [line(at=1.0), line("caller_abandoned", 4.0)]
    assert plan(log, rows(entry(at=1.2))) == Plan(insert=(log[1],), confirm=(1,))


def test_a_second_reading_changes_nothing() -> None:
    """Rows of the log are their own lines again, however often it is read."""
    log = [line(at=1.0), line(at=1.0, leg="1.2"), line("caller_abandoned", 4.0)]
    assert plan(log, rows(*log)) == Plan()


def test_the_same_key_again_and_again() -> None:
    """Of four refusals in four seconds the event is the last: the three before it are missing."""
    log = [line("offer_missed", at, agent="1001") for at in (10.0, 11.0, 12.0, 13.0)]
    told = entry("offer_missed", 13.2, agent="1001")
    assert plan(log, rows(told)) == Plan(insert=tuple(log[:3]), confirm=(1,))


def test_an_event_of_a_busy_pbx() -> None:
    """An event that came seconds after its line, or before it by another clock, is still that line."""
    assert plan([line(at=1.0)], rows(entry(at=7.0))) == Plan(confirm=(1,))
    assert plan([line(at=1.0)], rows(entry(at=0.5))) == Plan(confirm=(1,))
    late = plan([line(at=1.0)], rows(entry(at=30.0)))
    assert late.insert == (line(at=1.0),)


def test_confirmed_rows_stay_paired() -> None:
    """A row that was confirmed before is its line, and confirmed no second time."""
    assert plan([line(at=1.0)], rows(entry(at=1.2), confirmed=True)) == Plan()


def test_nameless_line_is_the_event_that_knows() -> None:
    """A line that names nobody known is the event of that caller, or what an earlier reading made of it."""
    nameless = line("offer_missed", 1.0)
    assert plan([nameless], rows(entry("offer_missed", 1.2, agent="1001"))) == Plan(confirm=(1,))
    known = line("offer_missed", 1.0, agent="1001")
    assert plan([nameless], rows(known)) == Plan()


def test_a_better_reading_replaces() -> None:
    """A name that has become known takes the place of the row that had none."""
    nameless = line("offer_missed", 1.0)
    known = line("offer_missed", 1.0, agent="1001")
    assert plan([known], rows(nameless)) == Plan(insert=(known,), drop=(1,))
    other = line("offer_missed", 2.0, agent="1001")
    assert plan([other], rows(nameless)) == Plan(insert=(other,))


def test_a_double_is_dropped() -> None:
    """Row of the log and row of the event of one line, each soon or late: the event's stays, confirmed."""
    log = [line(at=1.0)]
    assert plan(log, rows(log[0], entry(at=1.2))) == Plan(confirm=(2,), drop=(1,))
    assert plan(log, rows(log[0], entry(at=8.0))) == Plan(confirm=(2,), drop=(1,))
    nameless = line("offer_missed", 1.0)
    kept = rows(nameless, entry("offer_missed", 1.2, agent="1001"))
    assert plan([nameless], kept) == Plan(confirm=(2,), drop=(1,))


def test_a_double_of_somebody_else_is_none() -> None:
    """Two agents who were offered one caller are two moments; so is a moment long after."""
    log = [line("offer_missed", 1.0, agent="1001")]
    stranger = entry("offer_missed", 1.2, agent="1002")
    assert plan(log, rows(log[0], stranger)).doubtful == (Kept(2, stranger, confirmed=False),)
    later = entry("offer_missed", 60.0, agent="1001")
    assert plan(log, rows(log[0], later)).drop == ()


def test_another_leg_is_the_same_moment() -> None:
    """An event whose leg the log does not know is the line of that second that nothing else is."""
    served = line("call_served", 5.0, leg="1.1", agent="1001")
    assert plan([served], rows(entry("call_served", 5.3, leg="", agent="1001"))) == Plan(confirm=(1,))


def test_what_the_log_does_not_cover_is_left_alone() -> None:
    """A row from before or after what was read is not doubted, nor taken for something else."""
    before, after = entry(at=-5.0, leg="1.8"), entry(at=9.9, leg="1.9")
    found = compare([line(at=1.0)], rows(before, after), (BASE, BASE + 10.0))
    assert found == Plan(insert=(line(at=1.0),))


def test_doubt() -> None:
    """An event that the log does not have though it covers its time is told; a row of the log is not."""
    told = entry(at=5.0, leg="1.9")
    gone = replace(entry(at=5.0, leg="1.7"), source=LOG)
    assert plan([], rows(told, gone)).doubtful == (Kept(1, told, confirmed=False),)
    assert plan([], [Kept(1, told, confirmed=True)]).doubtful == ()


def test_a_row_is_one_line_only() -> None:
    """Two lines of a second with one row: one of them is missing."""
    log = [line("offer_missed", 1.0, agent="1001"), line("offer_missed", 1.0, agent="1001")]
    assert plan(log, rows(entry("offer_missed", 1.5, agent="1001"))) == Plan(insert=(log[0],), confirm=(1,))
    same = [
        replace(row, agent=AgentId(""), leg=LegId("1.1"))
        for row in (line("offer_missed", 1.0), line("offer_missed", 1.0))
    ]
    known = line("offer_missed", 1.0, agent="1001")
    assert plan([known], rows(*same)).drop == (1,)


def test_the_other_end_of_a_wait() -> None:
    """An event that told an abandon gives way to the log, which has it that the queue sent the caller on."""
    left = line("caller_left", 4.0)
    told = entry("caller_abandoned", 4.2)
    assert plan([left], rows(told)) == Plan(insert=(left,), drop=(1,))
    assert plan([left], rows(entry("caller_abandoned", 60.0))).drop == ()
    assert plan([left], rows(entry("caller_queued", 4.2))).drop == ()
