import pytest
from msgspec.structs import replace

from ctid.model.entities import Agent, Call, Device, Entity, Help, Membership, Party, Pbx, Queue, Supervision
from ctid.model.ids import AgentId, CallId, DeviceId, HelpId, LegId, PbxId, QueueId, SupervisionId
from ctid.model.instant import Instant
from ctid.model.words import (
    AgentState,
    CallState,
    Carrier,
    DeviceState,
    HelpState,
    LinkState,
    Mode,
    PartyState,
    Purpose,
    Role,
    SupervisionState,
)
from ctid.state.changes import Change, Occurrence
from ctid.state.store import Store
from ctid.webhooks.matching import MOST_CALLS, PATTERN, Concerns, Memory, Selection, concerns_of, is_named

PBX, AT = PbxId("p"), Instant(1.0)
AGENT = Agent(
    id=AgentId("1001"),
    pbx=PBX,
    name="Alice",
    team="blue",
    state=AgentState.READY,
    since=AT,
    queues=(Membership(queue=QueueId("support"), state=AgentState.READY),),
)
OTHER = replace(AGENT, id=AgentId("1002"), team="")
CALL = Call(
    id=CallId("p.1"),
    pbx=PBX,
    state=CallState.CONNECTED,
    since=AT,
    started_at=AT,
    queue=QueueId("sales"),
    parties=tuple(
        Party(leg=LegId(leg), role=role, state=PartyState.CONNECTED, since=AT, agent=agent)
        for leg, role, agent in (
            ("1", Role.CUSTOMER, None),
            ("2", Role.AGENT, AGENT.id),
            ("3", Role.AGENT, OTHER.id),
            ("4", Role.AGENT, AgentId("gone")),
        )
    ),
)
SESSION = Supervision(
    id=SupervisionId("s"),
    pbx=PBX,
    state=SupervisionState.ACTIVE,
    mode=Mode.LISTEN,
    since=AT,
    started_at=AT,
    supervisor="anna",
    phone="desk",
    agent=AGENT.id,
    call=None,
    purpose=Purpose.QUALITY,
)
HAND = Help(
    id=HelpId("h"),
    pbx=PBX,
    agent=AGENT.id,
    call=CALL.id,
    state=HelpState.OPEN,
    since=AT,
    raised_at=AT,
    by=Carrier.API,
    expires_at=AT,
)
DEVICE = Device(id=DeviceId("1001"), pbx=PBX, state=DeviceState.IDLE, since=AT, agent=AGENT.id)
QUEUE = Queue(id=QueueId("support"), pbx=PBX, name="", since=AT)
LINK = Pbx(id=PBX, driver="x", state=LinkState.CONNECTED, since=AT)


@pytest.fixture
def store() -> Store:
    """One that knows the call and two agents."""
    made = Store()
    made.agents.update({agent.id: agent for agent in (AGENT, OTHER)})
    made.calls[CALL.id] = CALL
    return made


def concerns(queues: str = "", teams: str = "") -> Concerns:
    """These."""
    return Concerns(frozenset(queues.split()), frozenset(teams.split()))


@pytest.mark.parametrize(
    ("entity", "expected"),
    [
        (AGENT, concerns("support", "blue")),
        (OTHER, concerns("support")),
        (QUEUE, concerns("support")),
        (CALL, concerns("sales", "blue")),
        (replace(CALL, queue=None, parties=()), concerns()),
        (DEVICE, concerns("", "blue")),
        (replace(DEVICE, agent=None), concerns()),
        (SESSION, concerns("", "blue")),
        (replace(SESSION, agent=None, call=CALL.id), concerns("sales", "blue")),
        (HAND, concerns("sales", "blue")),
        (LINK, concerns()),
    ],
)
def test_what_a_change_is_about(store: Store, entity: Entity, expected: Concerns) -> None:
    """The queues and teams of each kind of entity, also when it is gone."""
    assert concerns_of(Change(seq=1, at=AT, old=None, new=entity), store) == expected
    assert concerns_of(Change(seq=1, at=AT, old=entity, new=None), store) == expected


def test_what_an_occurrence_is_about(store: Store) -> None:
    """Its queue, its agent's team, and what its call is about while there is one."""
    moment = Occurrence(seq=1, at=AT, name="offer_missed", pbx=PBX)
    assert concerns_of(moment, store) == concerns()
    assert concerns_of(replace(moment, queue=QueueId("desk")), store) == concerns("desk")
    assert concerns_of(replace(moment, agent=AGENT.id), store) == concerns("", "blue")
    assert concerns_of(replace(moment, call=CALL.id), store) == concerns("sales", "blue")
    assert concerns_of(replace(moment, call=CallId("gone")), store) == concerns()


@pytest.mark.parametrize(
    ("name", "patterns", "named"),
    [
        ("call.answered", ["*"], True),
        ("call.answered", ["call.*"], True),
        ("call.answered", ["agent.*", "call.answered"], True),
        ("call.answered", ["call.offered", "agent.*"], False),
        ("call.answered", [], False),
        ("supervision.started", ["*"], False),
        ("supervision.started", ["supervision.*"], True),
        ("supervision.started", ["supervision.started"], True),
        ("help.raised", ["*"], False),
        ("monitoring.seen", ["*"], False),
        ("sheet.written", ["*"], False),
        ("sheet.written", ["*", "sheet.written"], True),
    ],
)
def test_names(name: str, patterns: list[str], named: bool) -> None:  # noqa: FBT001 - a column of the table
    """What tells who listens to whom must be named by its kind."""
    assert is_named(name, patterns) is named


def test_patterns() -> None:
    """Their form."""
    good, bad = (
        ("*", "call.*", "call.answered", "a_b.c_d"),
        ("", "call", "*.x", "call.", "ctid call", "Call.*"),
    )
    assert all(PATTERN.fullmatch(text) for text in good)
    assert not any(PATTERN.fullmatch(text) for text in bad)


def test_selection() -> None:
    """Filters that are given must each be met; an update about no queue meets no filter of queues."""
    some = Selection(events=("call.*",), queues=frozenset({"sales"}), teams=frozenset({"blue", "red"}))
    assert some.wants_type("call.ended")
    assert not some.wants_type("agent.changed")
    assert some.wants(concerns("sales desk", "blue"))
    assert not some.wants(concerns("desk", "blue"))
    assert not some.wants(concerns("sales"))
    assert Selection(events=("*",)).wants(concerns())


def test_a_call_concerns_a_team_to_its_end(store: Store) -> None:
    """Also after her agent has left it, until it is gone; what happens in it as well."""
    memory, left = Memory(), replace(CALL, parties=CALL.parties[:1])
    moment = Occurrence(seq=1, at=AT, name="call_transferred", pbx=PBX, call=CALL.id)
    whole = concerns("sales", "blue")
    assert memory.concerns_of(Change(seq=1, at=AT, old=None, new=left), store) == concerns("sales")
    assert memory.concerns_of(Change(seq=2, at=AT, old=left, new=CALL), store) == whole
    store.calls[CALL.id] = left
    assert memory.concerns_of(Change(seq=3, at=AT, old=CALL, new=left), store) == whole
    assert memory.concerns_of(moment, store) == whole
    assert memory.concerns_of(Change(seq=4, at=AT, old=left, new=None), store) == whole
    assert memory.concerns_of(moment, store) == concerns("sales")
    assert memory.concerns_of(Change(seq=5, at=AT, old=None, new=LINK), store) == concerns()


def test_memory_is_bounded(store: Store) -> None:
    """The call that nothing has been heard of for the longest is forgotten."""
    memory = Memory()
    for number in range(MOST_CALLS + 1):
        call = replace(CALL, id=CallId(f"p.{number}"))
        memory.concerns_of(Change(seq=1, at=AT, old=None, new=call), store)
    for number, teams in ((0, ""), (1, "blue")):
        left = replace(CALL, id=CallId(f"p.{number}"), parties=())
        assert memory.concerns_of(Change(seq=2, at=AT, old=None, new=left), store) == concerns("sales", teams)
