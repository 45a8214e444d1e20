from typing import Any

import pytest

from api.support import NOW, PBX
from ctid.api.audience import Audience
from ctid.api.stream import Filter
from ctid.api.views import Sight
from ctid.model.entities import Agent, Call, Entity, Membership, Pbx, Queue
from ctid.model.ids import AgentId, CallId, QueueId
from ctid.model.users import User, UserRole
from ctid.model.words import AgentState, CallState, LinkState
from ctid.state.changes import Change, Occurrence
from ctid.state.store import Store
from ctid.supervision.rights import Rights

SUPPORT, SALES = QueueId("support"), QueueId("sales")


def agent(ident: str, *queues: QueueId) -> Agent:
    """An agent who is in some queues."""
    memberships = tuple(Membership(queue=queue, state=AgentState.READY) for queue in queues)
    return Agent(
        id=AgentId(ident),
        pbx=PBX,
        name=ident,
        team="red",
        state=AgentState.READY,
        since=NOW,
        queues=memberships,
    )


def call(ident: str, queue: QueueId | None) -> Call:
    """A call that came by a queue, or by none."""
    return Call(id=CallId(ident), pbx=PBX, state=CallState.QUEUED, since=NOW, started_at=NOW, queue=queue)


def queue(ident: QueueId) -> Queue:
    """A queue."""
    return Queue(id=ident, pbx=PBX, name=ident, since=NOW)


LINK = Pbx(id=PBX, driver="asterisk", state=LinkState.CONNECTED, since=NOW)


def audience(*queues: str, store: Store | None = None, **wanted: frozenset[str]) -> Audience:
    """A supervisor who follows queues."""
    store = store or Store()
    reader = User(name="x", role=UserRole.SUPERVISOR)
    return Audience(Sight(reader, Rights(), store), Filter(queues=frozenset(queues), **wanted), store)


def test_the_snapshot_of_a_queue() -> None:
    """It holds links, the queue, its calls and its members, and has no place for what bears no queue."""
    floor: tuple[Entity, ...] = (
        LINK, queue(SUPPORT), queue(SALES), call("1", SUPPORT), call("2", SALES), call("3", None),
        agent("1001", SUPPORT), agent("1002", SALES), agent("1003", SALES, SUPPORT), agent("1004"),
    )  # fmt: skip
    told = audience("support").snapshot(floor, seq=1, boot_id="b", at=NOW)
    assert {name: [entity.id for entity in found] for name, found in told.entities.items()} == {
        "pbxs": ["lab"],
        "agents": ["1001", "1003"],
        "queues": ["support"],
        "calls": ["1"],
    }


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        (agent("1001"), agent("1001", SUPPORT), "there"),
        (agent("1001", SUPPORT), agent("1001"), "gone"),
        (agent("1001", SALES), agent("1001"), None),
        (call("1", SALES), call("1", SUPPORT), "there"),
        (call("1", SUPPORT), call("1", SALES), "gone"),
        (None, queue(SALES), None),
    ],
)
def test_who_comes_and_goes(old: Any, new: Any, told: str | None) -> None:
    """A member who leaves the queue, and a call that is sent to another, are told as gone."""
    message = audience("support").told(Change(seq=1, at=NOW, old=old, new=new))
    if told is None:
        assert message is None
    else:
        assert message is not None
        assert getattr(message, "entity", None) == (new if told == "there" else None)


@pytest.mark.parametrize(
    ("about", "told"),
    [
        ({"queue": SUPPORT}, True),
        ({"queue": SALES, "agent": AgentId("1001")}, False),
        ({"call": CallId("1")}, True),
        ({"call": CallId("2"), "agent": AgentId("1001")}, False),
        ({"call": CallId("3"), "agent": AgentId("1001")}, True),
        ({"call": CallId("9"), "agent": AgentId("1002")}, False),
        ({"agent": AgentId("9999")}, False),
        ({}, False),
    ],
)
def test_what_happens_in_a_queue(about: dict[str, Any], told: bool) -> None:  # noqa: FBT001 - a case's value
    """What happens is of its queue, or else of its call's, or else of its agent's."""
    store = Store()
    for one in (agent("1001", SUPPORT), agent("1002", SALES)):
        store.agents[one.id] = one
    for other in (call("1", SUPPORT), call("2", SALES), call("3", None)):
        store.calls[other.id] = other
    happened = Occurrence(seq=1, at=NOW, name="x", pbx=PBX, **about)
    assert (audience("support", store=store).told(happened) is not None) is told


def test_what_is_wanted_by_nobody() -> None:
    """Filters hold together: of a queue's members those of a team, and no kind that is left out."""
    red = audience("support", teams=frozenset({"blue"}))
    assert red.told(Change(seq=1, at=NOW, old=None, new=agent("1001", SUPPORT))) is None
    calls = audience("support", kinds=frozenset({"call"}))
    assert calls.told(Change(seq=1, at=NOW, old=None, new=agent("1001", SUPPORT))) is None
    assert calls.told(Occurrence(seq=1, at=NOW, name="x", pbx=PBX, queue=SUPPORT)) is None
