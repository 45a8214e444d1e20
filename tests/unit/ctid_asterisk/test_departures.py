import pytest

from ctid.model.facts import CallerAbandoned, CallerLeft
from ctid.model.ids import LegId, PbxId, QueueId
from ctid.model.instant import Instant
from ctid.model.words import LeaveReason
from ctid_asterisk.departures import NEVER, Departure, Departures

LEG = LegId("1.1")


def left(
    at: float = 110.4, *, queue: str = "support", answered: bool = False, since: float | None = 100.9
) -> Departure:
    """What QueueCallerLeave tells."""
    return Departure(
        queue=QueueId(queue),
        leg=LEG,
        position=2,
        since=None if since is None else Instant(since),
        at=Instant(at),
        waited_s=None,
        left=True,
        answered=answered,
    )


def counted(at: float = 110.0) -> Departure:
    """What QueueCallerAbandon tells."""
    return left(at)._replace(waited_s=9.0, left=False, position=1, since=None)


@pytest.fixture
def departures() -> Departures:
    """None yet."""
    return Departures(PbxId("lab"))


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        ("TIMEOUT", LeaveReason.TIMEOUT),
        ("LEAVEEMPTY", LeaveReason.EMPTY),
        ("LEAVEUNAVAIL", LeaveReason.EMPTY),
        ("WITHDRAW", LeaveReason.WITHDRAWN),
        ("SOMETHING", LeaveReason.OTHER),
    ],
)
def test_who_is_sent_on_has_left(departures: Departures, status: str, reason: LeaveReason) -> None:
    """Although Asterisk counted an abandon: with its place and its wait."""
    departures.add("1.1", counted())
    departures.add("1.1", left())
    moment = departures.explained("1.1", status)
    assert isinstance(moment, CallerLeft)
    assert (moment.queue, moment.leg, moment.reason) == ("support", "1.1", reason)
    assert (moment.position, moment.wait_s, moment.at) == (1, 9.0, 110.0)
    assert departures.explained("1.1", status) is None
    assert departures.settle("1.1") is None


@pytest.mark.parametrize("first", ["counted", "left"])
def test_who_hangs_up_has_abandoned(departures: Departures, first: str) -> None:
    """In whichever order the two events come."""
    both = [counted(), left()]
    for departure in both if first == "counted" else reversed(both):
        departures.add("1.1", departure)
    moment = departures.settle("1.1")
    assert isinstance(moment, CallerAbandoned)
    assert (moment.position, moment.wait_s, moment.at) == (1, 9.0, 110.0)


def test_who_presses_a_key_has_left_by_it(departures: Departures) -> None:
    """Nothing was counted, and no agent came; the wait is in whole seconds as the log counts them."""
    departures.add("1.1", left())
    moment = departures.settle("1.1")
    assert isinstance(moment, CallerLeft)
    assert (moment.reason, moment.wait_s, moment.position) == (LeaveReason.KEY, 10.0, 2)
    departures.add("1.1", left(since=None))
    moment = departures.settle("1.1")
    assert isinstance(moment, CallerLeft)
    assert moment.wait_s == 0.0


def test_who_is_connected_has_not_left(departures: Departures) -> None:
    """However long it takes, once a member's phone is answered."""
    departures.add("1.1", left(answered=True))
    assert departures.overdue(Instant(500.0)) == []
    departures.connected("1.1")
    assert departures.settle("1.1") is None


def test_who_is_gone_before_the_agent_is_told_nothing(departures: Departures) -> None:
    """An answered phone and no count: the queue's own log says what became of him."""
    departures.add("1.1", left(answered=True))
    assert departures.settle("1.1") is None


def test_who_hangs_up_at_the_answer_has_abandoned(departures: Departures) -> None:
    """The phone is up, and the queue has counted him."""
    departures.add("1.1", counted())
    departures.add("1.1", left(answered=True))
    assert isinstance(departures.settle("1.1"), CallerAbandoned)


def test_a_refusal_is_of_the_next_queue(departures: Departures) -> None:
    """Who was not let in there had left this one by a key, or was never in any."""
    departures.add("1.1", left())
    moment = departures.explained("1.1", "JOINEMPTY")
    assert isinstance(moment, CallerLeft)
    assert moment.reason is LeaveReason.KEY
    assert departures.explained("1.1", "FULL") is None


def test_going_on_after_the_agent_is_no_departure(departures: Departures) -> None:
    """CONTINUE is set when a served caller goes on."""
    departures.add("1.1", left())
    assert departures.explained("1.1", "CONTINUE") is None
    assert departures.settle("1.1") is None


def test_what_nothing_explains_is_told_in_time(departures: Departures) -> None:
    """A redirect says nothing: after a second it is an abandon; who is still in the queue waits."""
    assert departures.due == NEVER
    departures.add("1.1", counted(110.0))
    assert departures.due == NEVER
    departures.add("1.1", left(110.2))
    departures.add("2.1", left(110.8))
    departures.add("3.1", counted(100.0))
    assert departures.due == 111.0
    assert departures.overdue(Instant(110.9)) == []
    (moment,) = departures.overdue(Instant(111.0))
    assert isinstance(moment, CallerAbandoned)
    assert departures.due == 111.8
    assert len(departures.overdue(Instant(120.0))) == 1
    assert departures.due == NEVER
    assert isinstance(departures.settle("3.1"), CallerAbandoned)


def test_another_queue_is_another_departure(departures: Departures) -> None:
    """Of two queues the last counts, if nothing settled the first."""
    departures.add("1.1", left(queue="short"))
    departures.add("1.1", left(120.0))
    moment = departures.settle("1.1")
    assert moment is not None
    assert moment.queue == "support"
