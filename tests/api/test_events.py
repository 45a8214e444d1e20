import asyncio
import base64
import json
import os
import socket
from typing import Any, Self

import aiohttp
import pytest

from api.support import (
    BOOT,
    CALL,
    DEADLINE_S,
    NOW,
    PBX,
    SESSION,
    Floor,
    eventually,
    leg,
    member,
    session_of,
    token_of,
)
from ctid.api.context import Limits
from ctid.model.errors import SupervisionRefused
from ctid.model.facts import (
    CallerAbandoned,
    KeyPressed,
    LegChanged,
    LegEnded,
    MemberChanged,
    MemberRemoved,
    OfferMissed,
    SupervisionChanged,
)
from ctid.model.ids import AgentId, DeviceId, LegId, QueueId

START = {"agent": "1001", "via": {"phone": "2001"}, "purpose": "training"}


async def test_snapshot_then_changes(floor: Floor) -> None:
    """First comes everything as it stands, then each change after it, whole."""
    events = await floor.events()
    first = await events.next()
    assert (first["type"], first["seq"], first["boot_id"]) == ("snapshot", floor.hub.store.seq, BOOT)
    assert list(first["entities"]) == [
        "pbxs",
        "agents",
        "devices",
        "queues",
        "calls",
        "supervisions",
        "helps",
    ]
    assert {agent["id"] for agent in first["entities"]["agents"]} == {"1001", "1002", "1003", "1004"}
    await floor.pause("1002", "lunch")
    change = await events.next()
    assert (change["type"], change["kind"], change["id"]) == ("change", "agent", "1002")
    assert change["seq"] == first["seq"] + 1
    assert change["entity"] == (await floor.get("/agents/1002")).json
    await events.socket.close()


async def test_an_entity_that_goes(floor: Floor) -> None:
    """A call's end is told as a last document, and then as gone."""
    events = await floor.events("?kind=call")
    assert list((await events.next())["entities"]) == ["calls"]
    await floor.feed(
        LegEnded(pbx=PBX, at=NOW, leg=LegId("100.2")), LegEnded(pbx=PBX, at=NOW, leg=LegId("100.1"))
    )
    told = [await events.next() for _ in range(3)]
    assert [message["entity"] and message["entity"]["state"] for message in told] == [
        "initiated",
        "ended",
        None,
    ]
    assert {message["id"] for message in told} == {CALL}
    await events.socket.close()


async def test_occurrences(floor: Floor) -> None:
    """What no entity tells comes as an occurrence with its figures."""
    events = await floor.events("?kind=occurrence")
    assert (await events.next())["entities"] == {}
    await floor.feed(
        CallerAbandoned(pbx=PBX, at=NOW, queue=QueueId("support"), leg=LegId("100.1"), position=2, wait_s=3.5)
    )
    told = await events.next()
    assert (told["type"], told["name"], told["queue"]) == ("occurrence", "caller_abandoned", "support")
    assert told["figures"] == {"position": 2, "wait_s": 3.5}
    await events.socket.close()


async def test_a_team(floor: Floor) -> None:
    """A team's stream holds its agents and their calls, queues and devices, and links."""
    events = await floor.events("?team=blue")
    entities = (await events.next())["entities"]
    assert [agent["id"] for agent in entities["agents"]] == ["1002"]
    assert [queue["id"] for queue in entities["queues"]] == ["support"]
    assert [device["id"] for device in entities["devices"]] == ["PJSIP_1002"]
    assert entities["calls"] == []
    assert [link["id"] for link in entities["pbxs"]] == ["lab"]
    await events.socket.close()


async def test_occurrences_of_a_team(floor: Floor) -> None:
    """A team is told what befell its agents, and who gave up in a queue that it serves."""
    abandoned: dict[str, Any] = {"pbx": PBX, "at": NOW, "leg": LegId("100.1"), "position": 1, "wait_s": 1.0}
    missed: dict[str, Any] = {
        "pbx": PBX,
        "at": NOW,
        "leg": LegId("100.1"),
        "queue": QueueId("support"),
        "ring_s": 1.0,
    }
    events = await floor.events("?team=blue&kind=occurrence")
    await events.next()
    await floor.feed(
        CallerAbandoned(queue=QueueId("sales"), **abandoned),
        OfferMissed(agent=AgentId("1001"), **missed),
        OfferMissed(agent=AgentId("1002"), **missed),
        CallerAbandoned(queue=QueueId("support"), **abandoned),
    )
    told = [await events.next() for _ in range(2)]
    assert [(message["name"], message["agent"]) for message in told] == [
        ("offer_missed", "1002"),
        ("caller_abandoned", None),
    ]
    await events.socket.close()


async def test_a_call_that_enters_and_leaves_a_team(floor: Floor) -> None:
    """A call comes into a team's stream with its agent, and is told as gone when she has left it."""
    events = await floor.events("?team=blue&kind=call")
    await events.next()
    joined = leg("100.3", incoming=False, device=DeviceId("PJSIP_1002"), number="1002")
    await floor.feed(LegChanged(pbx=PBX, at=NOW, leg=joined))
    assert [party["agent"] for party in (await events.next())["entity"]["parties"]] == [None, "1001", "1002"]
    await floor.feed(LegEnded(pbx=PBX, at=NOW, leg=joined.id))
    told = await events.next()
    assert (told["id"], told["entity"]) == (CALL, None)
    await events.socket.close()


async def test_ids(floor: Floor) -> None:
    """A filter by ids lets only those through."""
    events = await floor.events("?id=1003,support")
    entities = (await events.next())["entities"]
    assert {name: [e["id"] for e in found] for name, found in entities.items() if found} == {
        "agents": ["1003"],
        "queues": ["support"],
    }
    await events.socket.close()


@pytest.mark.parametrize("role", ["viewer", "integrator"])
async def test_who_listens_is_not_told(floor: Floor, role: str) -> None:
    """For viewer and integrator a session makes no message at all, and numbers are masked."""
    events = await floor.events(role=role)
    first = await events.next()
    assert not {"supervisions", "helps"} & set(first["entities"])
    assert "supervisions" not in first["entities"]["calls"][0]
    assert first["entities"]["calls"][0]["parties"][0]["number"] == "********78"
    await floor.feed(SupervisionChanged(pbx=PBX, at=NOW, supervision=session_of("x")))
    await floor.pause("1002", "lunch")
    told = await events.next()
    assert (told["kind"], told["id"]) == ("agent", "1002")
    await floor.renumber("0799999911")
    told = await events.until("change")
    while told["kind"] != "call":
        told = await events.until("change")
    assert told["entity"]["parties"][0]["number"] == "********11"
    assert "supervisions" not in told["entity"]
    await events.socket.close()


async def test_who_listens_is_told_to_supervisors(floor: Floor) -> None:
    """A supervisor sees the session and its call change."""
    events = await floor.events("?kind=call,supervision")
    await events.next()
    await floor.supervise()
    told = {message["kind"]: message["entity"] for message in (await events.next(), await events.next())}
    assert told["supervision"]["id"] == SESSION
    assert told["call"]["supervisions"] == [SESSION]
    await events.socket.close()


async def test_a_key_is_told_to_those_who_may_know_who_listens(floor: Floor) -> None:
    """A supervisor is told which key was pressed in which session, by the session's id as well; no viewer."""
    await floor.supervise()
    seers = [await floor.events("?kind=occurrence"), await floor.events(f"?kind=occurrence&id={SESSION}")]
    blind = [
        await floor.events("?kind=occurrence", role="viewer"),
        await floor.events("?kind=occurrence&id=x"),
    ]
    for events in (*seers, *blind):
        await events.next()
    await floor.feed(
        KeyPressed(pbx=PBX, at=NOW, supervision=SESSION, key="5"),
        CallerAbandoned(pbx=PBX, at=NOW, queue=QueueId("x"), leg=LegId("100.1"), position=1, wait_s=1.0),
    )
    for events in seers:
        told = await events.next()
        assert (told["name"], told["supervision"], told["agent"], told["by"]) == (
            "supervision_key",
            SESSION,
            "1001",
            "5",
        )
    assert [(await events.next())["name"] for events in blind] == ["caller_abandoned"] * 2
    for events in (*seers, *blind):
        await events.socket.close()


async def test_resume_misses_nothing(floor: Floor) -> None:
    """A client that comes back with its seq gets what it missed, once and in order, then what follows."""
    before = floor.hub.store.seq
    for number in range(50):
        await floor.pause("1002", f"reason {number}")
    events = await floor.events(f"?kind=agent&after={before}&boot_id={BOOT}")
    first = await events.next()
    assert (first["type"], first["after"]) == ("resumed", before)
    await floor.pause("1002", "last")
    reasons = [(await events.next())["entity"]["reason"] for _ in range(51)]
    assert reasons == [*(f"reason {number}" for number in range(50)), "last"]
    await events.socket.close()


async def test_resume_amid_changes(floor: Floor) -> None:
    """Whenever a client resumes, the seqs it sees have no hole and no double."""
    before = floor.hub.store.seq
    facts = [
        MemberChanged(pbx=PBX, at=NOW, member=member("1002", paused=True, reason=f"{number}"))
        for number in range(300)
    ]
    for start in range(0, 300, 20):
        await floor.hub.feed(facts[start : start + 20])
    events = await floor.events(f"?after={before}&boot_id={BOOT}")
    assert (await events.next())["type"] == "resumed"
    seqs = [before]
    while floor.hub.store.seq > seqs[-1] or not floor.hub._facts.empty():
        seqs.append((await events.next())["seq"])
    assert seqs == list(range(before, before + len(seqs)))
    assert len(seqs) > 300
    await events.socket.close()


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        (f"?after=1&boot_id={BOOT}", "too_old"),
        ("?after={now}&boot_id=another", "restarted"),
        ("far", "ahead"),
    ],
)
async def test_resume_in_vain(query: str, reason: str) -> None:
    """When too much was missed, or ctid was started anew, or the seq is of the future: a snapshot says so."""
    async with Floor(Limits(ring=4)) as floor:
        await floor.populate()
        for number in range(4):
            await floor.pause("1002", f"reason {number}")
        asked = query.format(now=floor.hub.store.seq)
        if query == "far":
            asked = f"?after={floor.hub.store.seq + 1}&boot_id={BOOT}"
        events = await floor.events(asked)
        first = await events.next()
        assert (first["type"], first["seq"]) == ("snapshot", floor.hub.store.seq)
        assert first["reason"] == reason
        await events.socket.close()


async def test_heartbeat_tells_how_far_the_stream_is() -> None:
    """In silence a heartbeat tells the seq, counting what a filter left out; one can resume from it."""
    async with Floor(Limits(heartbeat_s=0.05)) as floor:
        await floor.populate()
        events = await floor.events("?kind=device")
        await events.next()
        await floor.pause("1002", "lunch")
        seq = 0
        async with asyncio.timeout(DEADLINE_S):
            while seq < floor.hub.store.seq:
                message = json.loads(await events.socket.receive_str())
                assert message["type"] == "heartbeat"
                seq = message["seq"]
        await events.socket.close()


class StubbornClient:
    """A WebSocket client that reads only when it is told to (RFC 6455 by hand)."""

    def __init__(self, floor: Floor) -> None:
        self._address = floor.server.address

    async def __aenter__(self) -> Self:
        self.socket = socket.socket()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.socket.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(self.socket, self._address)
        key = base64.b64encode(os.urandom(16)).decode()
        head = (
            "GET /api/v1/events HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n"
            f"Authorization: Bearer {token_of('supervisor')}\r\n\r\n"
        )
        await loop.sock_sendall(self.socket, head.encode())
        return self

    async def __aexit__(self, *_error: object) -> None:
        self.socket.close()

    async def read_all(self) -> bytes:
        """Everything until the connection ends."""
        loop = asyncio.get_running_loop()
        received = b""
        async with asyncio.timeout(DEADLINE_S):
            while chunk := await loop.sock_recv(self.socket, 1 << 16):
                received += chunk
        return received


async def flood(floor: Floor, rounds: int) -> None:
    """Change an agent many times over, with long reasons."""
    for number in range(rounds):
        await floor.pause("1002", f"{number} " + "x" * 2000)


@pytest.mark.parametrize(
    "limits",
    [Limits(waiting=100, send_s=30.0, close_s=60.0), Limits(waiting=100_000, send_s=0.1, close_s=60.0)],
    ids=["too many wait", "one waits too long"],
)
async def test_a_slow_reader_is_closed_and_holds_nobody_up(limits: Limits) -> None:
    """Who does not read is closed with 4408 and a reason; the others lose nothing."""
    async with Floor(limits) as floor:
        await floor.populate()
        quick = await floor.events("?kind=agent")
        await quick.next()
        async with StubbornClient(floor) as slow:
            await eventually(lambda: len(floor.subscriptions) >= 3)
            reading = asyncio.gather(*[read_changes(quick, 3000)])
            await flood(floor, 3000)
            assert (await reading)[0] == list(range(3000))
            received = await slow.read_all()
        assert close_frame(received) == (4408, "too slow: connect again, and read faster or filter more")
        await quick.socket.close()


async def read_changes(events: Any, count: int) -> list[int]:
    """The numbers in the reasons of the next agent changes."""
    return [int((await events.next())["entity"]["reason"].split()[0]) for _ in range(count)]


def close_frame(received: bytes) -> tuple[int, str]:
    """The code and reason of the frame that ends a server's stream (RFC 6455 section 5.5.1)."""
    start = received.rindex(b"\x88")
    length = received[start + 1]
    payload = received[start + 2 : start + 2 + length]
    assert start + 2 + length == len(received)
    return int.from_bytes(payload[:2]), payload[2:].decode()


async def test_a_reader_that_never_reads_is_cut_off() -> None:
    """Who takes neither messages nor the goodbye loses the connection in bounded time."""
    async with Floor(Limits(send_s=0.2, close_s=0.2)) as floor:
        await floor.populate()
        async with StubbornClient(floor):
            await eventually(lambda: len(floor.subscriptions) >= 2)
            await flood(floor, 3000)
            await eventually(lambda: len(floor.subscriptions) <= 1)


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("?kind=cat", "kind"),
        ("?after=1", "boot_id"),
        (f"?boot_id={BOOT}", "after"),
        (f"?after=x&boot_id={BOOT}", "after"),
        ("?since=1", "since"),
        ("?token=ctid_test-admin", "token"),
    ],
)
async def test_query_refused(floor: Floor, query: str, field: str) -> None:
    """A wrong query is refused before the handshake, by field."""
    reply = await floor.get(f"/events{query}")
    assert (reply.status, reply.json["code"], reply.json["field"]) == (422, "request.invalid", field)


async def test_a_token_in_the_address_is_no_token(floor: Floor) -> None:
    """The token is not taken from the address, and the refusal says how to send it."""
    reply = await floor.request("GET", f"/api/v1/events?token={token_of('admin')}", None)
    assert (reply.status, reply.json["code"]) == (401, "auth.required")
    assert "ctid.bearer.<token>" in reply.json["detail"]
    assert token_of("admin") not in reply.text


async def test_without_an_upgrade(floor: Floor) -> None:
    """A plain GET of the events is told to upgrade."""
    reply = await floor.get("/events")
    assert (reply.status, reply.json["code"]) == (426, "request.upgrade_required")


@pytest.mark.parametrize(
    ("offered", "chosen"),
    [
        (["ctid.v1", f"ctid.bearer.{token_of('viewer')}"], "ctid.v1"),
        ([f"ctid.bearer.{token_of('viewer')}"], f"ctid.bearer.{token_of('viewer')}"),
    ],
)
async def test_a_browser_sends_its_token_as_a_subprotocol(
    floor: Floor, offered: list[str], chosen: str
) -> None:
    """A token in the subprotocols is taken; the answer names one of those offered."""
    connected = await floor.http.ws_connect("/api/v1/events", protocols=offered)
    assert connected.protocol == chosen
    assert (await connected.receive_json(timeout=DEADLINE_S))["type"] == "snapshot"
    await connected.close()


async def test_an_unknown_token_gets_no_socket(floor: Floor) -> None:
    """A wrong token is refused before the handshake."""
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await floor.http.ws_connect("/api/v1/events", protocols=["ctid.v1", "ctid.bearer.nonsense"])
    assert refused.value.status == 401


@pytest.mark.parametrize(
    ("text", "ident", "status", "code", "field"),
    [
        ("{", None, 400, "request.invalid", None),
        ("[]", None, 400, "request.invalid", None),
        ('{"id": 1}', 1, 422, "request.invalid", "operation"),
        ('{"operation": "status.get"}', None, 422, "request.invalid", "id"),
        ('{"id": true, "operation": "status.get"}', None, 422, "request.invalid", "id"),
        ('{"id": 2, "operation": "floor.burn"}', 2, 404, "request.operation_unknown", "operation"),
        ('{"id": 3, "operation": "status.get", "when": 1}', 3, 422, "request.invalid", "when"),
        ('{"id": 4, "operation": "status.get", "params": []}', 4, 422, "request.invalid", "params"),
        (
            '{"id": 5, "operation": "agents.list", "params": {"limit": "5"}}',
            5,
            422,
            "request.invalid",
            "limit",
        ),
    ],
)
async def test_bad_messages(
    floor: Floor, text: str, ident: int | None, status: int, code: str, field: str | None
) -> None:
    """A message that is no request is answered with a problem, and the socket goes on."""
    events = await floor.events()
    await events.socket.send_str(text)
    reply = await events.until("reply")
    assert (reply["id"], reply["status"], reply["problem"]["code"]) == (ident, status, code)
    assert reply["problem"].get("field") == field
    assert (await events.call("status.get"))["status"] == 200
    await events.socket.close()


async def test_binary_messages_are_refused(floor: Floor) -> None:
    """A binary message is answered with a problem."""
    events = await floor.events()
    await events.socket.send_bytes(b"\x00")
    assert (await events.until("reply"))["problem"]["code"] == "request.invalid"
    await events.socket.close()


async def test_a_message_that_is_too_large_ends_the_socket(floor: Floor) -> None:
    """More than 64 KiB in one message closes the socket with 1009."""
    events = await floor.events()
    await events.socket.send_str(" " * 70_000)
    assert await events.ended() == 1009


async def test_a_waiting_operation_holds_nothing_up(floor: Floor) -> None:
    """While a phone rings, changes and other operations go on; too many at once are refused with 429."""
    events = await floor.events()
    floor.supervisions.gate.clear()
    for number in range(16):
        await events.socket.send_json(
            {"id": f"slow {number}", "operation": "supervisions.create", "params": START}
        )
    refused = await events.call("status.get", ident="one more")
    assert (refused["id"], refused["problem"]["code"]) == ("one more", "request.too_many")
    await floor.pause("1002", "lunch")
    assert (await events.until("change"))["entity"]["reason"] == "lunch"
    floor.supervisions.refusal = SupervisionRefused("no_live_call", "she hung up")
    floor.supervisions.gate.set()
    replies = [await events.until("reply") for _ in range(16)]
    assert {reply["problem"]["code"] for reply in replies} == {"supervision.no_live_call"}
    assert (await events.call("status.get"))["status"] == 200
    await events.socket.close()


async def test_an_operation_outlives_its_socket(floor: Floor) -> None:
    """A session that was asked for is begun although the client has left meanwhile."""
    events = await floor.events()
    floor.supervisions.gate.clear()
    await events.socket.send_json({"id": 1, "operation": "supervisions.create", "params": START})
    await eventually(lambda: floor.supervisions.asked)
    await events.socket.close()
    floor.supervisions.gate.set()
    assert await floor.hub.until(lambda: SESSION in floor.hub.store.supervisions, DEADLINE_S)


async def test_the_server_says_goodbye(floor: Floor) -> None:
    """When ctid stops, clients are closed with 1001, and no subscription stays."""
    events = await floor.events()
    await events.next()
    ended, _ = await asyncio.gather(events.ended(), floor.server.close())
    assert ended == 1001
    assert floor.subscriptions == []


async def test_a_client_that_leaves_is_forgotten(floor: Floor) -> None:
    """A closed socket and a cut connection both leave no subscription."""
    polite = await floor.events()
    rude = await floor.events()
    assert len(floor.subscriptions) == 3
    await polite.socket.close()
    rude.socket._response.connection.transport.abort()  # type: ignore[union-attr]  # it is connected
    await eventually(lambda: len(floor.subscriptions) <= 1)


async def test_a_queue(floor: Floor) -> None:
    """A queue's stream holds it, its calls and its members, and tells who leaves it."""
    events = await floor.events("?queue=support")
    entities = (await events.next())["entities"]
    assert {name: sorted(entity["id"] for entity in found) for name, found in entities.items()} == {
        "pbxs": ["lab"],
        "agents": ["1001", "1002"],
        "queues": ["support"],
        "calls": [CALL],
    }
    await floor.feed(MemberRemoved(pbx=PBX, at=NOW, queue=QueueId("support"), agent=AgentId("1002")))
    told = {message["kind"]: message["entity"] for message in (await events.next(), await events.next())}
    assert told["agent"] is None
    assert told["queue"]["agents"] == {"busy": 1}
    await events.socket.close()
