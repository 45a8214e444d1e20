"""Each invariant is seen to be violated where it is: a check that cannot fail proves nothing."""

from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace

from ctid.model.ids import AgentId, CallId, DeviceId, LegId, PbxId, QueueId, SupervisionId
from ctid.model.words import AgentState, CallState, DeviceState, PartyState, SupervisionState
from ctid.state.invariants import violations
from ctid.state.store import Store
from helpers.floor import PROFILES, Floor

C1, C2 = CallId("lab.c1"), CallId("lab.c2")
ANNA, SUPPORT = AgentId("1001"), QueueId("support")
Breaker = Callable[[Store], None]


def _floor() -> Floor:
    """A floor of its own, for the store is to be broken."""
    floor = Floor(Store(PROFILES))
    floor.link_up()
    floor.agent_joins("1001", "support")
    floor.phone("1001", DeviceState.IN_USE)
    floor.agent_serves("1001", "support", "c1", "a1")
    floor.customer_joins("c2", "support")
    floor.supervisor("s1", "c1")
    floor.snapshot()
    return floor


def _set(table: dict[Any, Any], key: str, **changed: Any) -> None:
    table[key] = replace(table[key], **changed)


def _call_without_party(store: Store) -> None:
    _set(store.calls, C2, parties=())


def _call_connected_alone(store: Store) -> None:
    _set(store.calls, C2, state=CallState.CONNECTED)


def _leg_in_two_calls(store: Store) -> None:
    _set(store.calls, C2, parties=(*store.calls[C2].parties, *store.calls[C1].parties))


def _position_with_a_hole(store: Store) -> None:
    (waiting,) = store.queues[SUPPORT].waiting
    _set(store.queues, SUPPORT, waiting=(replace(waiting, position=2),))


def _nobody_queued(store: Store) -> None:
    (party,) = store.calls[C2].parties
    _set(store.calls, C2, parties=(replace(party, state=PartyState.CONNECTED),))


def _leg_forgotten(store: Store) -> None:
    rows = store.rows[PbxId("lab")]
    del rows.legs[LegId("c2")]


@pytest.mark.parametrize(
    ("breaks", "told"),
    [
        (lambda s: _set(s.calls, C1, state=CallState.ENDED), "call lab.c1 is ended and still there"),
        (_call_without_party, "call lab.c2 has no party"),
        (_call_connected_alone, "call lab.c2 is connected with one party"),
        (lambda s: _set(s.calls, C1, answered_at=None), "call lab.c1 is connected and was never answered"),
        (_leg_in_two_calls, "leg c1 is in lab.c2 and in lab.c1"),
        (lambda s: s.supervisions.clear(), "call lab.c1 names the unknown supervision s1"),
        (
            lambda s: _set(s.agents, ANNA, state=AgentState.LOGGED_OUT),
            "agent 1001 is logged out and a member of support",
        ),
        (lambda s: _set(s.agents, ANNA, call=None), "agent 1001 is busy without a call"),
        (lambda s: s.calls.pop(C1), "agent 1001 is in the unknown call lab.c1"),
        (lambda s: s.queues.clear(), "agent 1001 is a member of the unknown queue support"),
        (lambda s: s.calls.pop(C2), "queue support has the unknown call lab.c2 waiting"),
        (_nobody_queued, "queue support has lab.c2 waiting, none of whose parties is queued"),
        (_position_with_a_hole, "queue support has position 2 at place 1"),
        (lambda s: _set(s.queues, SUPPORT, agents={}), "queue support counts 0 members of 1"),
        (
            lambda s: _set(s.supervisions, SupervisionId("s1"), state=SupervisionState.ENDED),
            "supervision s1 is ended and still there",
        ),
        (
            lambda s: _set(s.calls, C1, supervisions=()),
            "supervision s1 is not named by its call lab.c1",
        ),
        (
            lambda s: _set(s.devices, DeviceId("1001"), agent=None),
            "device 1001 is None's, and by the members 1001's",
        ),
        (
            lambda s: _set(s.agents, ANNA, stale=True),
            "agent 1001 is stale, and the link is up and synchronized",
        ),
        (_leg_forgotten, "pbx lab: the index of calls and the legs differ by {'c2'}"),
        (_leg_forgotten, "pbx lab: the index of queues and the legs differ by {'c2'}"),
        (
            lambda s: s.rows[PbxId("lab")].engaged.clear(),
            "pbx lab: the index of callers is {}, and the members say {'c1': {('1001', 'support')}}",
        ),
    ],
)
def test_a_violation_is_described(breaks: Breaker, told: str) -> None:
    """Of a store that was right, one thing is made wrong, and it is told by name."""
    store = _floor().store
    assert violations(store) == []
    breaks(store)
    assert told in violations(store)


def test_a_fresh_entity_of_a_lost_link_is_a_violation() -> None:
    """What cannot be known to be so now must say that it is stale."""
    floor = _floor()
    floor.link_down()
    assert violations(floor.store) == []
    _set(floor.store.calls, C1, stale=False)
    assert violations(floor.store) == ["call lab.c1 is not stale, and the link is down"]


def test_an_agent_who_serves_a_caller_that_nobody_sees_is_busy_without_a_call() -> None:
    """A caller behind a Local channel is no leg: the queue's word is all there is, and no violation."""
    floor = Floor(Store(PROFILES))
    floor.agent_joins("1001", "support", serving=LegId("hidden"))
    assert floor.agent("1001").state is AgentState.BUSY
    assert violations(floor.store) == []
