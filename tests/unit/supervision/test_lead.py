from typing import Any

import pytest

from ctid.model.ids import CallId, SupervisionId
from ctid.model.instant import Instant
from ctid.model.words import Mode, Scope, SupervisionState
from ctid.supervision.lead import in_call, lead_due, leader_of, leads
from helpers.floor import BASE, Floor

CALL = CallId("lab.c1")


@pytest.fixture
def talking(floor: Floor) -> Floor:
    """Agent 1001 talks in call lab.c1."""
    floor.agent_joins("1001", "support")
    floor.agent_serves("1001", "support", "c1", "a1")
    return floor


def _session(floor: Floor, ident: str, *, after_s: float, lead: bool, **more: Any) -> None:
    floor.supervisor(ident, "c1", started_at=Instant(BASE + after_s), lead=lead, **more)


def _due(floor: Floor, ident: str) -> bool:
    return lead_due(floor.store.supervisions[SupervisionId(ident)], floor.store)


def test_the_eldest_comes_first(talking: Floor) -> None:
    """By when they began; of two at once by their ids; those of other calls, and of none, are not there."""
    _session(talking, "s3", after_s=1, lead=False)
    _session(talking, "s2", after_s=1, lead=False)
    _session(talking, "s9", after_s=0, lead=True)
    talking.customer_dials("c2")
    talking.supervisor("s4", "c2")
    talking.supervisor("s5", "c1", call=None)
    assert [session.id for session in in_call(talking.store, CALL)] == ["s9", "s2", "s3"]
    assert in_call(talking.store, None) == []


def test_who_leads(talking: Floor) -> None:
    """The one that says so; nobody leads in no call, or where none does."""
    assert leader_of(talking.store, CALL) is None
    assert leads(talking.store, CALL, SupervisionId("s1"))
    _session(talking, "s1", after_s=0, lead=False)
    _session(talking, "s2", after_s=1, lead=True)
    leader = leader_of(talking.store, CALL)
    assert leader is not None
    assert leader.id == "s2"
    assert leads(talking.store, CALL, SupervisionId("s2"))
    assert not leads(talking.store, CALL, SupervisionId("s1"))
    assert leader_of(talking.store, None) is None


def test_who_has_the_customer_leads(talking: Floor) -> None:
    """Of two who lead, as where their calls became one: who took over, and else the eldest."""
    _session(talking, "s1", after_s=0, lead=True)
    _session(talking, "s2", after_s=1, lead=True)
    assert (_due(talking, "s1"), _due(talking, "s2")) == (True, False)
    talking.supervisor("s2", mode=Mode.TAKEOVER)
    assert (_due(talking, "s1"), _due(talking, "s2")) == (False, True)


def test_the_eldest_that_is_up_takes_a_lead_that_nobody_has(talking: Floor) -> None:
    """One whose phone rings, or who waits, is passed over; where somebody leads nobody else is to."""
    _session(talking, "s1", after_s=0, lead=False, state=SupervisionState.RINGING)
    _session(talking, "s2", after_s=1, lead=False)
    _session(talking, "s3", after_s=2, lead=False)
    assert [_due(talking, ident) for ident in ("s1", "s2", "s3")] == [False, True, False]
    talking.supervisor("s3", lead=True)
    assert [_due(talking, ident) for ident in ("s1", "s2", "s3")] == [False, False, True]


def test_nobody_is_due_where_nobody_is_up(talking: Floor) -> None:
    """A session that rings does not lead by itself."""
    _session(talking, "s1", after_s=0, lead=False, state=SupervisionState.RINGING)
    assert not _due(talking, "s1")


def test_who_went_with_the_agent_leads_no_longer_in_the_call_she_left(talking: Floor) -> None:
    """She waits for the agent's next call; one who waits for this call's next agent leads on."""
    _session(talking, "s1", after_s=0, lead=True, state=SupervisionState.WAITING, scope=Scope.AGENT)
    _session(talking, "s2", after_s=1, lead=False)
    assert _due(talking, "s2")
    talking.supervisor("s1", scope=Scope.CALL)
    assert not _due(talking, "s2")
