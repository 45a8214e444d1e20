"""Calls acted on over HTTP: what is asked, what comes back, and what is refused."""

from typing import Any

import pytest
from msgspec.structs import replace

from api.support import CALL, CUSTOMER, NOW, PBX, Floor, Reply
from ctid.calls.words import RecordingEntry
from ctid.model.commands import TransferCall
from ctid.model.facts import LegChanged
from ctid.model.ids import AgentId, LegId, QueueId
from ctid.model.instant import Instant

ENTRY = RecordingEntry(
    id=0, call=CALL, leg=LegId("100.2"), pbx=PBX, by="x", basis="training", file="x.wav", started_at=NOW
)


async def act(floor: Floor, what: str, role: str = "supervisor", call: str = CALL, **body: Any) -> Reply:
    """Act on a call."""
    return await floor.request("POST", f"/api/v1/calls/{call}/{what}", role, json=body)


async def test_recording_and_its_index(floor: Floor) -> None:
    """Each answers with the call as it is then; the index has it, and no audio."""
    for action, state in (("start", "on"), ("pause", "paused"), ("resume", "on"), ("stop", "off")):
        reply = await act(floor, "recording", action=action, basis="training" if action == "start" else "")
        assert (reply.status, reply.json["call"]["recording"]) == (200, state), reply
        assert reply.json["unconfirmed"] is False
    page = (await floor.get("/recordings")).json
    assert [(item["call"], item["by"], item["basis"]) for item in page["items"]] == [
        (CALL, "a supervisor", "training")
    ]
    assert (await floor.get("/recordings?agent=1002")).json == {"items": [], "next": None}
    assert (await floor.get("/recordings", "viewer")).status == 403


async def test_pages_of_recordings(floor: Floor) -> None:
    """The newest first; `next` leads on, and is none on the last page."""
    for number in range(5):
        await floor.recordings.begin(replace(ENTRY, started_at=Instant(NOW + number)))
    seen: list[int] = []
    cursor = ""
    while True:
        page = (await floor.get(f"/recordings?limit=2{cursor}")).json
        seen += [item["id"] for item in page["items"]]
        if page["next"] is None:
            break
        cursor = f"&cursor={page['next']}"
    assert seen == [5, 4, 3, 2, 1]
    for bad in ("x", "-1", "\u0661"):
        refused = await floor.get(f"/recordings?cursor={bad}")
        assert (refused.status, refused.json["field"]) == (422, "cursor")


@pytest.mark.parametrize("flag", ["private", "objected"])
async def test_flags(floor: Floor, flag: str) -> None:
    """For good; a recording is refused by the flag's name."""
    for _ in range(2):
        assert (await act(floor, flag)).json["call"][flag] is True
    refused = await act(floor, "recording", action="start", basis="training")
    assert (refused.status, refused.json["code"]) == (409, f"call.{flag}")
    assert (await floor.get(f"/calls/{CALL}", "viewer")).json[flag] is True


async def test_an_agent_protects_her_own_calls(floor: Floor) -> None:
    """Hers, and no other; the customer's number stays masked to her, and she may do nothing else to it."""
    hers = await act(floor, "private", "agent")
    assert (hers.status, hers.json["call"]["private"]) == (200, True)
    assert "0612345678" not in hers.text
    other = replace(CUSTOMER, id=LegId("200.1"), call="200.1", conversation=None)
    await floor.feed(LegChanged(pbx=PBX, at=NOW, leg=other))
    refused = await act(floor, "private", "agent", call="lab.200.1")
    assert (refused.status, refused.json["code"]) == (403, "auth.forbidden")
    assert (await act(floor, "hangup", "agent")).status == 403


async def test_another_team_s_calls(floor: Floor) -> None:
    """Who commands blue alone acts on who waits for blue, and on no call of red's or of nobody's."""
    await floor.recordings.begin(replace(ENTRY, agent=AgentId("1001")))
    for what, body in (("hangup", {}), ("private", {}), ("transfer", {"to": "1002"})):
        refused = await act(floor, what, "stranger", **body)
        assert (refused.status, refused.json["code"]) == (403, "auth.forbidden"), what
    for ident, queue, status in (("200.1", "sales", 403), ("300.1", None, 403), ("400.1", "support", 200)):
        leg = replace(
            CUSTOMER,
            id=LegId(ident),
            call=ident,
            conversation=None,
            queue=QueueId(queue) if queue else None,
            position=1 if queue else None,
        )
        await floor.feed(LegChanged(pbx=PBX, at=NOW, leg=leg))
        assert (await act(floor, "hangup", "stranger", call=f"lab.{ident}")).status == status, queue
    for agent, status in (("1001", 403), ("1002", 200)):
        path = f"/api/v1/agents/{agent}/message"
        assert (await floor.request("POST", path, "stranger", json={"text": "x"})).status == status
    dialled = await floor.request(
        "POST", "/api/v1/calls", "stranger", json={"agent": "1001", "number": "0123"}
    )
    assert dialled.status == 403
    assert (await floor.get("/recordings", "stranger")).json == {"items": [], "next": None}
    assert len((await floor.get("/recordings")).json["items"]) == 1


async def test_transfer_and_hang_up(floor: Floor) -> None:
    """To a number or a queue by its id; then the call is hung up, and unknown."""
    moved = await act(floor, "transfer", to="1002")
    assert [party["role"] for party in moved.json["call"]["parties"]] == ["customer"]
    (command,) = [c for c in floor.pbx.acted.commands if isinstance(c, TransferCall)]
    assert command.number == "1002"
    assert (await act(floor, "hangup")).json["call"]["state"] == "ended"
    gone = await act(floor, "hangup")
    assert (gone.status, gone.json["code"]) == (404, "call.unknown")


async def test_priority(floor: Floor) -> None:
    """Of a call that waits."""
    waiting = replace(
        CUSTOMER, id=LegId("200.1"), call="200.1", conversation=None, queue=QueueId("sales"), position=2
    )
    await floor.feed(LegChanged(pbx=PBX, at=NOW, leg=waiting))
    reply = await act(floor, "priority", call="lab.200.1", position=1)
    assert (reply.status, reply.json["unconfirmed"]) == (200, False)
    refused = await act(floor, "priority")
    assert (refused.status, refused.json["code"]) == (409, "call.not_waiting")


async def test_click_to_call(floor: Floor) -> None:
    """Answers 201 with the call; an agent in a call is not rung."""
    reply = await floor.request("POST", "/api/v1/calls", json={"agent": "1002", "number": "0123"})
    assert (reply.status, reply.json["call"]["parties"][0]["agent"]) == (201, "1002")
    busy = await floor.request("POST", "/api/v1/calls", json={"agent": "1001", "number": "0123"})
    assert (busy.status, busy.json["code"]) == (409, "agent.not_free")


async def test_a_text(floor: Floor) -> None:
    """The answer says by which ways; on the stream, a viewer does not read it."""
    readers = {role: await floor.events(role=role) for role in ("supervisor", "integrator", "viewer")}
    for reader in readers.values():
        await reader.next()
    body = {"text": "line 2 first"}
    reply = await floor.request("POST", "/api/v1/agents/1002/message", json=body)
    assert reply.json == {"agent": "1002", "sip": True, "mqtt": True, "reason": ""}
    for role, reader in readers.items():
        told = await reader.until("occurrence")
        assert (told["name"], told["agent"], told["by"]) == ("agent_message", "1002", "a supervisor")
        assert told["text"] == ("" if role == "viewer" else "line 2 first")


@pytest.mark.parametrize(
    ("path", "body", "status", "code", "field"),
    [
        (f"/calls/{CALL}/hangup", {"party": "9.9"}, 422, "request.invalid", "party"),
        (f"/calls/{CALL}/transfer", {}, 422, "request.invalid", "to"),
        (f"/calls/{CALL}/transfer", {"to": 7}, 422, "request.invalid", "to"),
        (f"/calls/{CALL}/transfer", {"to": "1002&1003"}, 422, "request.invalid", "to"),
        (f"/calls/{CALL}/transfer", {"to": "1002\r\nX: y"}, 422, "request.invalid", "to"),
        (f"/calls/{CALL}/transfer", {"to": "0033"}, 403, "call.number_not_allowed", None),
        (f"/calls/{CALL}/transfer", {"to": {"queue": "none"}}, 404, "queue.unknown", None),
        (f"/calls/{CALL}/transfer", {"to": {"queue": "sales"}}, 422, "request.invalid", "to.queue"),
        (f"/calls/{CALL}/transfer", {"to": {"shoe": "1"}}, 422, "request.invalid", "to.shoe"),
        (f"/calls/{CALL}/priority", {"position": 0}, 422, "request.invalid", "position"),
        (f"/calls/{CALL}/recording", {}, 422, "request.invalid", "action"),
        (f"/calls/{CALL}/recording", {"action": "start"}, 422, "request.invalid", "basis"),
        (f"/calls/{CALL}/recording", {"action": "start", "basis": "a\nb"}, 422, "request.invalid", "basis"),
        (f"/calls/{CALL}/recording", {"action": "pause"}, 409, "call.not_recorded", None),
        ("/calls/none/private", {}, 404, "call.unknown", None),
        ("/calls", {"agent": "none", "number": "0123"}, 404, "agent.unknown", None),
        ("/calls", {"agent": "1002", "number": "PJSIP/0123"}, 422, "request.invalid", "number"),
        ("/agents/none/message", {"text": "x"}, 404, "agent.unknown", None),
        ("/agents/1002/message", {"text": ""}, 422, "request.invalid", "text"),
        ("/agents/1002/message", {"text": "a\0b"}, 422, "request.invalid", "text"),
        ("/agents/1002/message", {"text": "x" * 501}, 422, "request.invalid", "text"),
    ],
)
async def test_refusals(
    floor: Floor, path: str, body: Any, status: int, code: str, field: str | None
) -> None:
    """A refusal says why by its code, and where by its field; the PBX is asked nothing."""
    reply = await floor.request("POST", f"/api/v1{path}", json=body)
    assert (reply.status, reply.json["code"], reply.json.get("field")) == (status, code, field)
    assert floor.pbx.acted.commands == []
