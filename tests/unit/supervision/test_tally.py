from typing import Any

from msgspec.structs import replace

from ctid.model.entities import Supervision
from ctid.model.ids import AgentId, CallId, PbxId, SupervisionId
from ctid.model.instant import Instant
from ctid.model.words import Mode, Origin, Purpose, SupervisionState
from ctid.supervision.periods import Window
from ctid.supervision.tally import HELD_S, KEPT_S, Tally

ALICE, BRUNO = AgentId("1001"), AgentId("1002")
ALWAYS = Window(begins=Instant(0), ends=Instant(1e12))


def session(since: float, state: str = "active", ident: str = "s1", **fields: Any) -> Supervision:
    """A session with Alice, as it is since then."""
    known: dict[str, Any] = {
        "id": SupervisionId(ident),
        "pbx": PbxId("lab"),
        "state": SupervisionState(state),
        "mode": Mode.LISTEN,
        "since": Instant(since),
        "started_at": Instant(0),
        "supervisor": "sofia",
        "phone": "desk",
        "agent": ALICE,
        "call": CallId("lab.1"),
        "purpose": Purpose.QUALITY,
    }
    return Supervision(**(known | fields))


def seen(*sessions: Supervision, longest_s: float = 0) -> Tally:
    """A tally that has seen these."""
    tally = Tally(longest_s)
    for one in sessions:
        tally.saw(one)
    return tally


def listened(tally: Tally, now: float, agent: AgentId = ALICE, within: Window = ALWAYS) -> float:
    """Seconds."""
    return tally.listened_s(agent, within, Instant(now))


def sessions(tally: Tally, now: float = 1e6, agent: AgentId = ALICE, within: Window = ALWAYS) -> int:
    """How many."""
    return tally.sessions(agent, within, Instant(now))


def test_minutes_are_those_in_which_she_is_in_the_call() -> None:
    """Neither the ringing nor the waiting between calls counts; switching does."""
    tally = seen(
        session(0, "ringing"),
        session(10),
        session(20, "switching"),
        session(21, mode=Mode.WHISPER),
        session(30, "waiting", call=None),
        session(50),
        session(55, "ended"),
    )
    assert listened(tally, 1000) == 20 + 5
    assert sessions(tally) == 1


def test_hearing_twice_changes_nothing() -> None:
    """Nor does a change of something else."""
    tally = seen(session(10), session(10), session(10, muted=True, confirmed_at=Instant(15)))
    assert listened(tally, 30) == 20


def test_after_a_takeover_the_agent_has_left() -> None:
    """What follows is no listening to her."""
    tally = seen(session(10), session(30, mode=Mode.TAKEOVER), session(90, "ended", mode=Mode.TAKEOVER))
    assert listened(tally, 1000) == 20


def test_a_call_that_goes_on_to_another_agent_counts_for_each() -> None:
    """From when the PBX told of it on, as it is no change of the state."""
    moved = session(10, agent=BRUNO, confirmed_at=Instant(40))
    tally = seen(session(10), moved, session(100, "ended", agent=BRUNO))
    assert listened(tally, 1000) == 30
    assert listened(tally, 1000, BRUNO) == 60
    assert (sessions(tally), sessions(tally, agent=BRUNO)) == (1, 1)
    untold = seen(session(10), replace(moved, since=Instant(50), confirmed_at=None))
    assert listened(untold, 60) == 40


def test_two_sessions_at_once_are_two_and_their_minutes_one() -> None:
    """An agent who is heard by two is heard once as long."""
    tally = seen(
        session(10),
        session(20, ident="s2", supervisor="paul"),
        session(30, "ended"),
        session(60, "ended", ident="s2"),
    )
    assert listened(tally, 1000) == 50
    assert sessions(tally) == 2


def test_what_lies_outside_of_the_stretch_does_not_count() -> None:
    """A spell that reaches into it counts in part; what goes on counts up to now."""
    tally = seen(session(10), session(30, "ended"), session(90, ident="s2"))
    window = Window(begins=Instant(20), ends=Instant(100))
    assert listened(tally, 95, within=window) == 10 + 5
    assert listened(tally, 500, within=window) == 10 + 10
    assert sessions(tally, within=Window(begins=Instant(50), ends=Instant(100))) == 1
    assert listened(seen(session(10), session(15, "ended")), 95, within=window) == 0


def test_what_she_asked_for_herself_does_not_count() -> None:
    """And neither does a session without an agent."""
    tally = seen(session(10, origin=Origin.AGENT_REQUEST), session(10, ident="s2", agent=None))
    assert listened(tally, 100) == sessions(tally) == 0


def test_a_session_counts_before_it_listens() -> None:
    """While it rings; one that is refused or not answered does not count afterwards."""
    tally = seen(session(0, "ringing"))
    assert sessions(tally) == 1
    tally.saw(session(5, "ended"))
    assert sessions(tally) == listened(tally, 100) == 0


def test_an_admitted_session_is_held_until_it_is_seen() -> None:
    """Two requests at once do not take the same last place; what is never seen frees it again."""
    tally = Tally()
    tally.hold(SupervisionId("s1"), ALICE, Instant(100))
    assert (sessions(tally, 100), sessions(tally, 100, BRUNO)) == (1, 0)
    assert tally.sessions(ALICE, ALWAYS, Instant(100), SupervisionId("s1")) == 0
    assert sessions(tally, 100 + HELD_S) == 0
    tally.hold(SupervisionId("s2"), ALICE, Instant(100.5))
    tally.hold(SupervisionId("s3"), ALICE, Instant(100 + HELD_S))
    assert sessions(tally, 100 + HELD_S) == 2
    tally.saw(session(101, "ended", ident="s2"))
    assert sessions(tally, 100 + HELD_S) == 1


def test_a_session_that_is_not_told_as_ended_listens_for_its_longest() -> None:
    """As after a crash of which nothing came back."""
    assert listened(seen(session(10), longest_s=60), 1e6) == 60
    assert listened(seen(session(10), session(500, "ended"), longest_s=60), 1e6) == 60


def test_what_is_old_is_forgotten() -> None:
    """After more than a week; minutes as well as sessions."""
    tally = seen(session(10), session(20, "ended"))
    later = KEPT_S + 100
    tally.saw(session(later, ident="s2"))
    tally.saw(session(later + 5, "ended", ident="s2"))
    assert listened(tally, later + 10) == 5
    assert sessions(tally) == 1
