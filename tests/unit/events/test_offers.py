import json
from typing import Any

import pytest
from msgspec.structs import replace

from ctid.events.documents import Documents, encode
from ctid.events.offers import offers_of
from ctid.model.entities import Call, Party
from ctid.model.ids import AgentId, CallId, DeviceId, LegId, PbxId, QueueId
from ctid.model.instant import Instant
from ctid.model.words import CallState, PartyState, Role

AT = Instant(10.0)
DOCUMENTS = Documents("lab", "b1", numbers_in_full=True)


def party(leg: str, role: Role, state: PartyState, **fields: Any) -> Party:
    """A party, in its state since 8 s."""
    return Party(leg=LegId(leg), role=role, state=state, since=Instant(8.0), **fields)


def agent(number: str, state: PartyState) -> Party:
    """An agent's party."""
    return party(
        f"leg-{number}", Role.AGENT, state, number=number, agent=AgentId(number), device=DeviceId(number)
    )


CALLER = party("c", Role.CUSTOMER, PartyState.QUEUED, number="0612345678", name="Ada")
WAITS = Call(
    id=CallId("p.1"),
    pbx=PbxId("p"),
    state=CallState.QUEUED,
    since=AT,
    started_at=Instant(4.0),
    queue=QueueId("support"),
    dialled="7000",
    parties=(CALLER,),
)
RINGS = replace(WAITS, parties=(CALLER, agent("1001", PartyState.ALERTING)))
TALKS = replace(
    WAITS,
    parties=(replace(CALLER, state=PartyState.CONNECTED, since=AT), agent("1001", PartyState.CONNECTED)),
)


def data_of(old: Call | None, new: Call, documents: Documents = DOCUMENTS) -> list[tuple[str, Any]]:
    """Name and data of each event, as JSON has it."""
    return [(name, json.loads(encode(data))) for name, data in offers_of(old, new, documents, 9, AT)]


def told(old: Call | None, new: Call) -> list[tuple[str, Any]]:
    """Type and agent of each event."""
    return [(name.removeprefix("call."), data["agent"]) for name, data in data_of(old, new)]


def test_what_is_told() -> None:
    """Who is called, by whom, where, and since when he has been there."""
    ((name, data),) = data_of(WAITS, RINGS)
    assert name == "call.offered"
    assert data == {
        "schema": "ctid.call.offered/1",
        "boot_id": "b1",
        "seq": 9,
        "at": "1970-01-01T00:00:10.000Z",
        "call": "p.1",
        "pbx": "p",
        "queue": "support",
        "direction": "inbound",
        "agent": "1001",
        "device": "1001",
        "number": "0612345678",
        "name": "Ada",
        "dialled": "7000",
        "waited_s": 6.0,
    }
    ((name, data),) = data_of(RINGS, TALKS)
    assert (name, data["agent"], data["waited_s"]) == ("call.answered", "1001", 6.0)


BOTH_RING = replace(RINGS, parties=(*RINGS.parties, agent("1002", PartyState.ALERTING)))


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (WAITS, RINGS, [("offered", "1001")]),
        (RINGS, RINGS, []),
        (WAITS, BOTH_RING, [("offered", "1001"), ("offered", "1002")]),
        (RINGS, BOTH_RING, [("offered", "1002")]),
        (RINGS, TALKS, [("answered", "1001")]),
        (TALKS, TALKS, []),
        (WAITS, TALKS, [("answered", "1001")]),  # she picked it up, or was handed it
        (None, RINGS, [("offered", "1001")]),
        (None, TALKS, []),  # found when ctid began
        (WAITS, replace(WAITS, parties=(CALLER, agent("1001", PartyState.INITIATED))), []),
        (  # she dialled herself
            replace(WAITS, parties=(agent("1001", PartyState.INITIATED),)),
            replace(WAITS, parties=(agent("1001", PartyState.CONNECTED),)),
            [],
        ),
        (RINGS, replace(TALKS, parties=(CALLER, agent("1001", PartyState.HELD))), []),
        (
            replace(TALKS, parties=(CALLER, agent("1001", PartyState.HELD))),
            TALKS,
            [],
        ),
    ],
)
def test_when(old: Call | None, new: Call, expected: list[tuple[str, str]]) -> None:
    """Once for each agent, when it begins to ring there, and when she has it."""
    assert told(old, new) == expected


def test_a_supervisor_is_offered_nothing() -> None:
    """Her phone that rings for a session is not a call for an agent, even if she is one."""
    spy = replace(agent("1001", PartyState.ALERTING), role=Role.SUPERVISOR)
    assert told(WAITS, replace(WAITS, parties=(CALLER, spy))) == []


def test_the_other_end() -> None:
    """The customer, else whoever is there first, else nobody."""
    caller = party("x", Role.OTHER, PartyState.CONNECTED, number="200")
    for parties, number in (((caller, CALLER), "0612345678"), ((caller,), "200"), ((), "")):
        ((_, data),) = data_of(WAITS, replace(WAITS, parties=(*parties, agent("1001", PartyState.ALERTING))))
        assert data["number"] == number


@pytest.mark.parametrize(
    ("caller", "waited"),
    [(CALLER, 2.0), (replace(CALLER, state=PartyState.CONNECTED), None), (None, None)],
)
def test_waiting_again(caller: Party | None, waited: float | None) -> None:
    """Once somebody has spoken in it, what counts is how long it is in a queue now, if it is."""
    old = replace(WAITS, answered_at=Instant(5.0), parties=())
    parties = (*([caller] if caller else []), agent("1001", PartyState.ALERTING))
    ((_, data),) = data_of(old, replace(old, parties=parties))
    assert data["waited_s"] == waited


def test_clocks_that_differ() -> None:
    """A call that seems to have come later than now has waited no time."""
    ((_, data),) = data_of(None, replace(RINGS, started_at=Instant(11.0)))
    assert data["waited_s"] == 0.0
