from ctid.history.entries import EVENT, LOG, entries_of, entry_of
from ctid.model.facts import CallerLeft, CallServed
from ctid.model.ids import AgentId, CallId, LegId, QueueId
from ctid.model.instant import Instant
from ctid.model.words import LeaveReason
from ctid.ports import Recollection
from ctid.state.changes import Occurrence, occurrence
from helpers.floor import BASE
from helpers.moments import PBX

AT = Instant(BASE)
SERVED = CallServed(
    pbx=PBX,
    at=AT,
    queue=QueueId("sales"),
    agent=AgentId("1001"),
    leg=LegId("1.1"),
    hold_s=2.0,
    talk_s=30.0,
    by="agent",
)


def test_event_and_log_make_the_same_entry() -> None:
    """What an event tells and what the log tells differ in nothing but the source."""
    told = entry_of(occurrence(SERVED, 7, CallId("lab.1.1")))
    (read,) = entries_of(Recollection(since=AT, moments=(SERVED,)))
    assert told is not None
    assert (told.source, read.source) == (EVENT, LOG)
    assert told.key == read.key == ("call_served", "sales", "1.1", "1001")
    assert (read.at, read.by, read.hold_s, read.talk_s, read.ring_s, read.position) == (
        AT,
        "agent",
        2.0,
        30.0,
        None,
        None,
    )


def test_reason_and_position() -> None:
    """Why a caller left is in `by`, his place a whole number; no agent is the empty one."""
    left = CallerLeft(
        pbx=PBX,
        at=AT,
        queue=QueueId("sales"),
        leg=LegId("1.1"),
        reason=LeaveReason.KEY,
        position=3,
        wait_s=9.0,
    )
    (read,) = entries_of(Recollection(since=AT, moments=(left,)))
    assert (read.by, read.position, read.wait_s, read.agent) == ("key", 3, 9.0, "")


def test_what_is_no_moment_of_a_queue() -> None:
    """Other occurrences are not kept, nor one without a caller or a queue."""
    told = Occurrence(seq=1, at=AT, name="call_transferred", pbx=PBX, leg=LegId("1.1"), queue=QueueId("q"))
    assert entry_of(told) is None
    assert entry_of(Occurrence(seq=1, at=AT, name="caller_queued", pbx=PBX, queue=QueueId("q"))) is None
    assert entry_of(Occurrence(seq=1, at=AT, name="caller_queued", pbx=PBX, leg=LegId("1.1"))) is None
