import json
from typing import Any

import pytest
from msgspec.structs import replace

from ctid.audit import Anchor
from ctid.events.catalogue import EVENTS, OCCURRED
from ctid.events.documents import Documents
from ctid.events.telling import anchor_event, cloud_event, dropped_event, events_of
from ctid.model.entities import (
    Agent,
    Call,
    Device,
    Entity,
    Help,
    Membership,
    Pbx,
    Queue,
    Supervision,
    Waiting,
)
from ctid.model.ids import AgentId, CallId, DeviceId, HelpId, PbxId, QueueId, SupervisionId
from ctid.model.instant import Instant
from ctid.model.words import (
    AgentState,
    CallState,
    Carrier,
    DeviceState,
    HelpState,
    LinkState,
    Mode,
    Purpose,
    SupervisionEnd,
    SupervisionState,
)
from ctid.state.changes import Change, Occurrence, Update

PBX, SUPPORT, SALES = PbxId("p"), QueueId("support"), QueueId("sales")
AT = Instant(1_000.0)
DOCUMENTS = Documents("lab", "b1", numbers_in_full=False)

LINK = Pbx(id=PBX, driver="asterisk", state=LinkState.CONNECTED, since=AT)
AGENT = Agent(
    id=AgentId("1001"),
    pbx=PBX,
    name="Alice",
    state=AgentState.READY,
    since=AT,
    queues=(
        Membership(queue=SUPPORT, state=AgentState.READY),
        Membership(queue=SALES, state=AgentState.READY),
    ),
)
DEVICE = Device(id=DeviceId("1001"), pbx=PBX, state=DeviceState.IDLE, since=AT)
QUEUE = Queue(id=SUPPORT, pbx=PBX, name="Support", since=AT)
CALL = Call(id=CallId("p.1"), pbx=PBX, state=CallState.QUEUED, since=AT, started_at=AT)
SUPERVISION = Supervision(
    id=SupervisionId("s"),
    pbx=PBX,
    state=SupervisionState.RINGING,
    mode=Mode.LISTEN,
    since=AT,
    started_at=AT,
    supervisor="marie",
    phone="desk",
    agent=AGENT.id,
    call=CALL.id,
    purpose=Purpose.QUALITY,
    note="secret",
)


def change(old: Entity | None, new: Entity | None) -> Change:
    """A change of an entity."""
    return Change(seq=9, at=AT, old=old, new=new)


def tell(update: Update) -> list[dict[str, Any]]:
    """The events of an update, as on the wire."""
    return [json.loads(cloud_event(event, DOCUMENTS)) for event in events_of(update, DOCUMENTS)]


def types(update: Update) -> list[str]:
    """The types of the events of an update."""
    return [event["type"].removeprefix("ctid.") for event in tell(update)]


ACTIVE = replace(SUPERVISION, state=SupervisionState.ACTIVE)
HAND = Help(
    id=HelpId("h"),
    pbx=PBX,
    agent=AGENT.id,
    call=CALL.id,
    state=HelpState.OPEN,
    since=AT,
    raised_at=AT,
    by=Carrier.API,
    text="secret",
    expires_at=AT,
)
TAKEN = replace(HAND, state=HelpState.CLAIMED, claimed_by="marie", wait_s=7.5)


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (None, LINK, ["pbx.link_changed"]),
        (LINK, replace(LINK, state=LinkState.DOWN), ["pbx.link_changed"]),
        (LINK, replace(LINK, synchronized_at=AT), ["pbx.changed"]),
        (None, AGENT, ["agent.state_changed"]),
        (AGENT, replace(AGENT, state=AgentState.BUSY), ["agent.state_changed"]),
        (AGENT, replace(AGENT, reason="lunch"), ["agent.state_changed"]),
        (AGENT, replace(AGENT, queues=AGENT.queues[:1]), ["agent.state_changed"]),
        (AGENT, replace(AGENT, stale=True), ["agent.changed"]),
        (AGENT, None, ["agent.removed"]),
        (DEVICE, replace(DEVICE, state=DeviceState.RINGING), ["device.state_changed"]),
        (DEVICE, replace(DEVICE, agent=AGENT.id), ["device.changed"]),
        (DEVICE, None, ["device.removed"]),
        (None, QUEUE, ["queue.changed"]),
        (QUEUE, replace(QUEUE, strategy="linear"), ["queue.changed"]),
        (QUEUE, None, ["queue.removed"]),
        (None, CALL, ["call.queued"]),
        *[
            (CALL, replace(CALL, state=state), [f"call.{state}"])
            for state in CallState
            if state is not CallState.QUEUED
        ],
        (CALL, replace(CALL, dialled="7000"), ["call.party_changed"]),
        (CALL, None, ["call.removed"]),
        (None, HAND, ["help.raised"]),
        (HAND, replace(HAND, call=None), ["help.changed"]),
        (HAND, TAKEN, ["help.claimed"]),
        (TAKEN, HAND, ["help.reopened"]),
        (TAKEN, replace(HAND, state=HelpState.ENDED), ["help.ended"]),
        (HAND, None, ["help.removed"]),
        (None, SUPERVISION, ["supervision.ringing"]),
        (SUPERVISION, ACTIVE, ["supervision.started"]),
        (ACTIVE, replace(ACTIVE, mode=Mode.BARGE), ["supervision.mode_changed"]),
        (
            SUPERVISION,
            replace(ACTIVE, mode=Mode.WHISPER),
            ["supervision.started", "supervision.mode_changed"],
        ),
        (ACTIVE, replace(ACTIVE, stale=True), ["supervision.changed"]),
        (
            ACTIVE,
            replace(ACTIVE, state=SupervisionState.ENDED, end=SupervisionEnd.RELEASED),
            ["supervision.ended"],
        ),
        (SUPERVISION, None, ["supervision.removed"]),
    ],
)
def test_every_change_gives_its_events(old: Entity | None, new: Entity | None, expected: list[str]) -> None:
    """Each change of an entity gives the event that its difference means, and never none."""
    assert types(change(old, new)) == expected
    for event in events_of(change(old, new), DOCUMENTS):
        assert type(event.data) is EVENTS[event.name].data


def test_nothing_becomes_another_thing() -> None:
    """A change between two kinds of entities is none that could be told."""
    with pytest.raises(TypeError, match="a Call cannot become a Queue"):
        events_of(change(CALL, QUEUE), DOCUMENTS)


@pytest.mark.parametrize("name", OCCURRED)
def test_every_occurrence_has_its_document(name: str) -> None:
    """What happens is told with the figures that its document has, and all of them."""
    kind = OCCURRED[name]
    figures = dict.fromkeys(("position", "hold_s", "ring_s", "wait_s", "talk_s"), 1.5)
    told = Occurrence(
        seq=4, at=AT, name=name, pbx=PBX, supervision=SUPERVISION.id, text="line 2", figures=figures
    )
    (event,) = events_of(told, DOCUMENTS)
    assert type(event.data) is kind is EVENTS[event.name].data


def test_event_is_a_cloud_event() -> None:
    """The attributes that CloudEvents 1.0 requires are there, and all names are in its alphabet."""
    (event,) = tell(change(None, CALL))
    data = event.pop("data")
    assert event == {
        "specversion": "1.0",
        "id": "b1-9",
        "source": "/ctid/lab",
        "type": "ctid.call.queued",
        "time": "1970-01-01T00:16:40.000Z",
        "subject": "calls/p.1",
        "datacontenttype": "application/json",
        "seq": 9,
        "bootid": "b1",
    }
    assert all(name.isalnum() and name.islower() for name in event)
    assert (data["schema"], data["seq"], data["boot_id"]) == ("ctid.call/1", 9, "b1")


def test_several_events_of_one_update_have_ids_of_their_own() -> None:
    """When one update gives two events, the second's id has its place, and both have the update's seq."""
    events = tell(change(SUPERVISION, replace(ACTIVE, mode=Mode.BARGE)))
    assert [event["id"] for event in events] == ["b1-9", "b1-9-2"]
    assert {event["seq"] for event in events} == {9}
    assert "secret" not in json.dumps(events)


def test_agent_tells_the_difference_in_each_queue() -> None:
    """An agent's event names from, to and reason, and only the queues in which something changed."""
    paused = replace(
        AGENT,
        state=AgentState.READY,
        queues=(
            Membership(queue=SUPPORT, state=AgentState.NOT_READY, reason="lunch"),
            Membership(queue=QueueId("desk"), state=AgentState.READY),
        ),
    )
    (event,) = tell(change(AGENT, paused))
    assert (event["data"]["from"], event["data"]["to"]) == ("ready", "ready")
    assert event["data"]["queues"] == [
        {"queue": "support", "from": "ready", "to": "not_ready", "reason": "lunch"},
        {"queue": "sales", "from": "ready", "to": "logged_out", "reason": ""},
        {"queue": "desk", "from": None, "to": "ready", "reason": ""},
    ]


def test_queue_tells_its_waiting() -> None:
    """A queue's event counts who waits now and before, and since when the longest does."""
    waiting = replace(QUEUE, waiting=(Waiting(call=CALL.id, position=1, since=AT),))
    (event,) = tell(change(QUEUE, waiting))
    assert (event["data"]["waiting"], event["data"]["waiting_before"]) == (1, 0)
    assert event["data"]["longest_waiting_since"] == "1970-01-01T00:16:40.000Z"


def test_occurrence_tells_its_figures() -> None:
    """What no entity's state tells is an event of its queue, its figures beside its ids."""
    told = Occurrence(
        seq=4,
        at=AT,
        name="caller_abandoned",
        pbx=PBX,
        call=CALL.id,
        queue=SUPPORT,
        figures={"position": 2, "wait_s": 31.5},
    )
    (event,) = tell(told)
    assert (event["type"], event["subject"]) == ("ctid.queue.caller_abandoned", "queues/support")
    assert (event["data"]["wait_s"], event["data"]["call"]) == (31.5, "p.1")


def test_a_text_is_told_of_the_agent() -> None:
    """Under its own type, with who sent it; other events have no such field."""
    told = Occurrence(
        seq=4, at=AT, name="agent_message", pbx=PBX, agent=AgentId("1001"), by="sofia", text="line 2"
    )
    (event,) = tell(told)
    assert (event["type"], event["subject"]) == ("ctid.agent.message", "agents/1001")
    assert (event["data"]["agent"], event["data"]["by"], event["data"]["text"]) == ("1001", "sofia", "line 2")
    (drift,) = tell(Occurrence(seq=5, at=AT, name="state_drifted", pbx=PBX))
    assert (drift["subject"], "text" in drift["data"]) == ("pbx/p", False)


def test_drops_are_told() -> None:
    """The event of dropped events counts them, and no two such events have the same id."""
    first, second = (
        json.loads(cloud_event(dropped_event(DOCUMENTS, 9, AT, count, total), DOCUMENTS))
        for count, total in ((3, 3), (2, 5))
    )
    assert first["id"] != second["id"]
    assert (second["data"]["count"], second["data"]["total"]) == (2, 5)


def test_where_the_audit_ended() -> None:
    """Its record, its hash and its time; two anchors while nothing else happens have two ids."""
    told = []
    for record in (3, 4):
        event = anchor_event(DOCUMENTS, Anchor(record=record, hash="ab", at=AT), 9)
        told.append(json.loads(cloud_event(event, DOCUMENTS)))
    assert [(event["id"], event["type"]) for event in told] == [
        ("b1-9-audit-3", "ctid.audit.anchored"),
        ("b1-9-audit-4", "ctid.audit.anchored"),
    ]
    data = told[0]["data"]
    assert (data["schema"], data["record"], data["hash"]) == ("ctid.audit.anchored/1", 3, "ab")


def test_who_listens_past_ctid() -> None:
    """By a name that no reader of the broker but the supervisors' is allowed."""
    moment = Occurrence(seq=4, at=AT, name="monitoring_seen", pbx=PBX, by="2003", to="spy")
    (event,) = tell(moment)
    assert (event["type"], event["data"]["by"], event["data"]["to"]) == (
        "ctid.monitoring.seen",
        "2003",
        "spy",
    )


def test_a_key_names_its_session() -> None:
    """Under the type of its own, which the broker tells to those who may know who listens."""
    told = Occurrence(
        seq=9, at=AT, name="supervision_key", pbx=PBX, call=CALL.id, supervision=SUPERVISION.id, by="5"
    )
    (event,) = tell(told)
    assert (event["type"], event["subject"]) == ("ctid.supervision.key", "calls/p.1")
    assert (event["data"]["supervision"], event["data"]["by"]) == ("s", "5")


def test_a_raised_hand_is_told_without_its_words() -> None:
    """Who waits, for how long, and who has come; not what she said about it."""
    (told,) = tell(change(HAND, TAKEN))
    data = told["data"]
    assert (data["agent"], data["claimed_by"], data["wait_s"]) == ("1001", "marie", 7.5)
    assert "secret" not in json.dumps(told)
    assert told["subject"] == "help/h"
    assert b"secret" not in DOCUMENTS.entity(HAND, 9, AT)


def test_what_only_supervisors_may_know() -> None:
    """A code for help, and a sheet that was written, are told by their ids."""
    for name, kind in (("help_asked", "help.asked"), ("sheet_written", "sheet.written")):
        (told,) = tell(Occurrence(seq=9, at=AT, name=name, pbx=PBX, agent=AGENT.id, call=CALL.id, to="c1"))
        assert (told["type"], told["data"]["agent"]) == (f"ctid.{kind}", "1001")
