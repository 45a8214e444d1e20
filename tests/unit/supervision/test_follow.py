from typing import Any

import pytest

from ctid.model.ids import AgentId, CallId, SupervisionId
from ctid.model.instant import Instant
from ctid.model.words import Mode, NoticeState, Scope, SupervisionEnd, SupervisionState
from ctid.supervision.follow import End, Follow, Lead, Notify, Step, next_step
from helpers.floor import BASE, Floor

OVER = End(reason=SupervisionEnd.CALL_ENDED)
DONE = End(reason=SupervisionEnd.CALLS_DONE)


@pytest.fixture
def talking(floor: Floor) -> Floor:
    """Agent 1001 talks with customer c1 in call lab.c1; 1002 has no call."""
    floor.agent_joins("1001", "support")
    floor.agent_joins("1002", "support")
    floor.agent_serves("1001", "support", "c1", "a1")
    return floor


def _step(
    floor: Floor, *, key: str = "c1", at: float = 0.0, armed_in: CallId | None = None, **session: Any
) -> Step | None:
    floor.supervisor("s1", key, **session)
    known = floor.store.supervisions[SupervisionId("s1")]
    return next_step(known, floor.store, Instant(BASE + at), armed_in)


def _to(floor: Floor, key: str, leg: str) -> Follow:
    return Follow(call=floor.call(key), party=floor.party(key, leg))


def _waits(**more: Any) -> dict[str, Any]:
    return {"state": SupervisionState.WAITING, **more}


# In a call --------------------------------------------------------------------------------------------


def test_in_a_call_that_goes_on_there_is_nothing_to_do(talking: Floor) -> None:
    """Whichever scope, and on hold as well."""
    for scope in Scope:
        assert _step(talking, scope=scope) is None
    talking.holds("a1")
    assert _step(talking) is None


def test_a_session_ends_with_its_call(talking: Floor) -> None:
    """One that follows the agent does not: it is told to wait."""
    talking.supervisor("s1", "c1")
    talking.call_over("1001", "support", "c1", "a1")
    assert _step(talking) == OVER
    assert _step(talking, scope=Scope.NEXT) == OVER
    assert _step(talking, scope=Scope.AGENT) is None


def test_the_lead_is_taken_and_given(talking: Floor) -> None:
    """Where nobody leads the session does; of two the elder."""
    assert _step(talking, lead=False) == Lead(lead=True)
    assert _step(talking, lead=True) is None
    talking.supervisor("s0", "c1", started_at=Instant(BASE - 9.0))
    assert _step(talking) == Lead(lead=False)


def test_the_agent_is_told_once_it_is_clear_who_leads(talking: Floor) -> None:
    """While the notice is due, and no more once it was given or failed."""
    assert _step(talking, lead=False, notice_state=NoticeState.DUE) == Lead(lead=True)
    assert _step(talking, lead=True) == Notify()
    for state in (NoticeState.GIVEN, NoticeState.FAILED, NoticeState.NOT_DUE):
        assert _step(talking, notice_state=state) is None


# Waiting ----------------------------------------------------------------------------------------------


def test_a_call_is_followed_to_its_next_agent(talking: Floor) -> None:
    """Attended or blind: as soon as one talks in it, and not while it only rings at her."""
    talking.rings("a2", "c1", "1002")
    talking.hangs_up("a1")
    assert _step(talking, **_waits()) is None
    talking.connected("c1", "a2")
    assert _step(talking, **_waits()) == _to(talking, "c1", "a2")
    assert _step(talking, **_waits(scope=Scope.NEXT)) == _to(talking, "c1", "a2")


def test_a_call_that_is_over_is_not_waited_for(talking: Floor) -> None:
    """Neither one that was told as the session's, nor none at all."""
    talking.supervisor("s1", "c1")
    talking.call_over("1001", "support", "c1", "a1")
    assert _step(talking, **_waits()) == OVER
    assert _step(talking, **_waits(call=None)) == OVER


def test_an_agent_is_followed_to_her_next_call(talking: Floor) -> None:
    """Also back to the one that she was in; while she has none there is nothing to do."""
    waits = _waits(scope=Scope.AGENT, calls=1)
    assert _step(talking, **waits) == _to(talking, "c1", "a1")
    talking.call_over("1001", "support", "c1", "a1")
    assert _step(talking, **waits) is None
    talking.wait(30)
    talking.agent_serves("1001", "support", "c2", "a2")
    assert _step(talking, **waits) == _to(talking, "c2", "a2")


def test_after_so_many_calls_it_is_over(talking: Floor) -> None:
    """At the end of the last, or as the next one begins; she may come back to the last itself."""
    waits = _waits(scope=Scope.AGENT, calls=2, calls_limit=2)
    assert _step(talking, **waits) == _to(talking, "c1", "a1")
    assert _step(talking, **(waits | {"call": CallId("lab.c0")})) == DONE
    talking.call_over("1001", "support", "c1", "a1")
    assert _step(talking, **waits) == DONE
    assert _step(talking, **(waits | {"calls": 1})) is None


def test_an_agent_whom_nobody_knows_has_no_call(talking: Floor) -> None:
    """She left the last of her queues, or was never named: it waits."""
    for agent in (None, AgentId("9999")):
        assert _step(talking, **_waits(scope=Scope.AGENT, agent=agent)) is None


# Armed ------------------------------------------------------------------------------------------------


def test_an_armed_session_waits_for_the_next_call(talking: Floor) -> None:
    """Not the one that she was in as it was armed."""
    armed: dict[str, Any] = {"state": SupervisionState.REQUESTED, "scope": Scope.NEXT, "call": None}
    assert _step(talking, armed_in=CallId("lab.c1"), **armed) is None
    assert _step(talking, armed_in=None, **armed) == _to(talking, "c1", "a1")
    assert _step(talking, armed_in=CallId("lab.c0"), **armed) == _to(talking, "c1", "a1")
    assert _step(talking, agent=AgentId("1002"), **armed) is None


# Limits -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "state",
    [
        SupervisionState.REQUESTED,
        SupervisionState.RINGING,
        SupervisionState.ACTIVE,
        SupervisionState.SWITCHING,
        SupervisionState.WAITING,
    ],
)
def test_its_time_ends_it_wherever_it_stands(talking: Floor, state: SupervisionState) -> None:
    """At the instant itself, and not before."""
    bounded: dict[str, Any] = {"state": state, "until": Instant(BASE + 60.0)}
    assert _step(talking, at=60.0, **bounded) == End(reason=SupervisionEnd.TIME_UP)
    assert _step(talking, at=59.9, **bounded) != End(reason=SupervisionEnd.TIME_UP)


@pytest.mark.parametrize("state", [SupervisionState.RINGING, SupervisionState.SWITCHING])
def test_while_something_is_under_way_there_is_no_step(talking: Floor, state: SupervisionState) -> None:
    """What comes of it is awaited, also where the call has gone meanwhile."""
    assert _step(talking, state=state, notice_state=NoticeState.DUE) is None
    talking.call_over("1001", "support", "c1", "a1")
    assert _step(talking, state=state) is None


def test_a_customer_who_was_taken_over_is_kept_whatever_the_time(talking: Floor) -> None:
    """Until he has gone himself; a hand-back that is under way is not cut off."""
    talking.put_leg("p1", call="c1", incoming=False, supervision=SupervisionId("s1"))
    talking.hangs_up("a1")
    talking.connected("c1", "p1")
    taken: dict[str, Any] = {"mode": Mode.TAKEOVER, "until": Instant(BASE + 60.0)}
    assert _step(talking, at=61.0, **taken) is None
    talking.hangs_up("c1")
    assert _step(talking, at=61.0, state=SupervisionState.SWITCHING, **taken) is None
    assert _step(talking, at=61.0, state=SupervisionState.ACTIVE, **taken) == OVER
    talking.hangs_up("p1")
    assert _step(talking, **taken) == OVER
    assert _step(talking, call=None, **taken) == OVER


# Private, or objected to -------------------------------------------------------------------------------


@pytest.mark.parametrize("flag", ["private", "objected"])
def test_a_call_that_is_nobodys_to_hear(talking: Floor, flag: str) -> None:
    """Whoever is in it or waits for it is out at once; who follows the agent waits for another."""
    talking.put_leg("c1", **{flag: True})
    assert _step(talking) == End(reason=SupervisionEnd.FORBIDDEN)
    assert _step(talking, **_waits()) == End(reason=SupervisionEnd.FORBIDDEN)
    assert _step(talking, **_waits(scope=Scope.AGENT)) is None
    assert _step(talking, state=SupervisionState.REQUESTED, call=None, scope=Scope.NEXT) is None
