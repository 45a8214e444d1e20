from typing import Any, NamedTuple

from ctid.model.entities import Supervision
from ctid.model.ids import AgentId, PbxId, SupervisionId
from ctid.model.instant import Instant
from ctid.model.words import Mode, NoticeKind, NoticeState, Purpose, SupervisionEnd, SupervisionState
from ctid.supervision.record import sessions_about

ALICE, BRUNO = AgentId("1001"), AgentId("1002")


class Told(NamedTuple):
    """An entry of the audit."""

    event: str
    supervision: Supervision


def told(event: str, since: float, ident: str = "s1", **fields: Any) -> Told:
    """A session with Alice as an entry has it."""
    state = event if event in set(SupervisionState) else "active"
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
        "call": None,
        "purpose": Purpose.TRAINING,
        "notice": NoticeKind.TONE,
        "notice_state": NoticeState.DUE,
    }
    return Told(event, Supervision(**(known | fields)))


def test_she_reads_who_when_how_and_why() -> None:
    """One session: from when it was in her call, the modes in their order, and whether she was told."""
    (about,) = sessions_about(
        [
            told("ringing", 1),
            told("active", 5),
            told("active", 9, mode=Mode.WHISPER),
            told("active", 12),
            told("ended", 30, notice_state=NoticeState.GIVEN, end=SupervisionEnd.RELEASED),
        ],
        ALICE,
    )
    assert (about.id, about.supervisor, about.purpose) == ("s1", "sofia", Purpose.TRAINING)
    assert (about.began_at, about.ended_at, about.end) == (Instant(5), Instant(30), SupervisionEnd.RELEASED)
    assert about.modes == (Mode.LISTEN, Mode.WHISPER)
    assert (about.notice, about.notice_state) == (NoticeKind.TONE, NoticeState.GIVEN)


def test_what_never_was_in_her_call_is_not_about_her() -> None:
    """A phone that nobody answered, and another agent's session."""
    entries = [told("ringing", 1), told("ended", 5), told("active", 9, "s2", agent=BRUNO)]
    assert sessions_about(entries, ALICE) == []


def test_a_session_that_went_on_to_another_agent_ended_for_her() -> None:
    """With what it was then: what the other was told is no word to her."""
    entries = [
        told("active", 5),
        told("active", 20, agent=BRUNO),
        told("ended", 60, agent=BRUNO, notice_state=NoticeState.GIVEN, ended_at=Instant(60)),
    ]
    (about,) = sessions_about(entries, ALICE)
    assert (about.ended_at, about.end, about.notice_state) == (Instant(20), None, NoticeState.DUE)
    (other,) = sessions_about(entries, BRUNO)
    assert (other.began_at, other.ended_at) == (Instant(20), Instant(60))


def test_a_session_that_comes_back_to_her_goes_on() -> None:
    """While it waits between calls it has not ended."""
    entries = [told("active", 5), told("active", 9, agent=BRUNO), told("active", 12), told("waiting", 20)]
    (about,) = sessions_about(entries, ALICE)
    assert (about.began_at, about.ended_at) == (Instant(5), None)


def test_the_newest_is_the_first() -> None:
    """By when it began."""
    entries = [told("active", 5, "s2"), told("active", 9, "s1")]
    assert [about.id for about in sessions_about(entries, ALICE)] == ["s1", "s2"]
