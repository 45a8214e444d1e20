"""What stands before the operations: rates, tokens that expire, commands that come twice."""

import asyncio
import json
from typing import Any

import pytest
from msgspec.structs import replace

from api.support import NOW, SESSION, TOKENS, Floor, Reply, eventually, token_of
from ctid.api.context import Limits
from ctid.api.expiry import DAY_S
from ctid.model.errors import SupervisionRefused
from ctid.model.instant import Instant
from ctid.model.users import FLOOR_ROLES
from ctid.rates import Rate

START = {"agent": "1001", "via": {"phone": "2001"}, "purpose": "training"}
PATH = "/api/v1/supervisions"
SLOW = Rate(0.1, 3)
KEY = {"Idempotency-Key": "8e03978e-40d5-43dd-bc93-6894a57f9324"}


def code_of(reply: Reply) -> str:
    """The code of a problem."""
    return str(reply.json.get("code", ""))


async def start(floor: Floor, key: dict[str, str] | None = None, **changed: Any) -> Reply:
    """Ask for a session over HTTP."""
    return await floor.request("POST", PATH, json=START | changed, headers=key or {})


# Rates ------------------------------------------------------------------------------------------------


async def test_too_many_commands() -> None:
    """Beyond its burst a user's command is 429 with when to come back; nothing is done, and others go on."""
    async with Floor(Limits(commands=SLOW)) as floor:
        await floor.populate()
        modes = ("listen", "barge", "whisper", "listen", "barge")
        replies = [await start(floor, mode=mode) for mode in modes]
        assert [reply.status for reply in replies] == [201, 201, 201, 429, 429]
        problem = replies[3].json
        assert problem["code"] == "request.rate_limited"
        assert 0 < problem["retry_after_s"] <= 10
        assert 1 <= int(replies[3].headers["Retry-After"]) <= 10
        assert "come back in" in problem["detail"]
        assert len(floor.supervisions.asked) == 3
        assert (await floor.get("/agents")).status == 200
        assert (await floor.request("POST", PATH, "admin", json=START | {"note": "mine"})).status == 201
        events = await floor.events()
        refused = await events.call("supervisions.create", START)
        assert (refused["status"], refused["problem"]["code"]) == (429, "request.rate_limited")
        assert (await events.call("status.get"))["status"] == 200
        await events.socket.close()


async def test_too_many_reads() -> None:
    """Reads have a bucket of their own, which following the events draws on as well."""
    async with Floor(Limits(reads=SLOW)) as floor:
        await floor.populate()
        statuses = [(await floor.get("/agents")).status for _ in range(4)]
        assert statuses == [200, 200, 200, 429]
        assert code_of(await floor.get("/events")) == "request.rate_limited"
        assert (await start(floor)).status == 201
        assert (await floor.request("GET", "/readyz", None)).status == 200


async def test_a_body_is_not_waited_for_when_there_are_too_many() -> None:
    """A refused command is answered before its body has come."""
    async with Floor(Limits(commands=Rate(0.1, 1))) as floor:
        await start(floor)
        reader, writer = await asyncio.open_connection(*floor.server.address)
        head = (
            f"POST {PATH} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            f"Authorization: Bearer {token_of('supervisor')}\r\nContent-Length: 10\r\n\r\n{{"
        )
        writer.write(head.encode())
        async with asyncio.timeout(5):
            line = await reader.readline()
        writer.close()
        await writer.wait_closed()
        assert b" 429 " in line


async def test_too_many_bad_tokens() -> None:
    """Who comes again and again without a good token gets 429 for 401; a good one is let in beside it."""
    async with Floor(Limits(failures=SLOW)) as floor:
        bad = {"Authorization": "Bearer guessed"}
        replies = [await floor.request("GET", "/api/v1/agents", None, headers=bad) for _ in range(4)]
        assert [reply.status for reply in replies] == [401, 401, 401, 429]
        assert "Retry-After" in replies[3].headers
        assert (await floor.get("/agents")).status == 200


async def test_the_document_tells_of_it(floor: Floor) -> None:
    """Each operation promises 429 and the two refusals of a token, each command the key's."""
    document = (await floor.get("/openapi.json", None)).json
    for path in document["paths"].values():
        for method, described in path.items():
            if "x-roles" not in described:
                continue
            responses = described["responses"]
            assert "request.rate_limited" in responses["429"]["x-codes"]
            assert {"auth.required", "auth.expired"} <= set(responses["401"]["x-codes"])
            named = [parameter["name"] for parameter in described["parameters"]]
            assert ("Idempotency-Key" in named) is (method != "get")
            assert ("request.key_reused" in responses["422"]["x-codes"]) is (method != "get")


# Tokens that expire -----------------------------------------------------------------------------------


def expiring_floor(limits: Limits | None = None, **expiries: float) -> Floor:
    """A floor where tokens expire: so many seconds from its clock's time, by role."""
    tokens = [
        replace(token, expires=Instant(NOW + expiries[token.role]))
        if token.role in expiries and token.name != "a stranger"
        else token
        for token in TOKENS
    ]
    return Floor(limits or Limits(heartbeat_s=0.05), tokens=tokens)


async def test_an_expired_token() -> None:
    """It is 401 with a code of its own and the cure, over HTTP and at the handshake."""
    async with expiring_floor(supervisor=10) as floor:
        assert (await floor.get("/agents")).status == 200
        floor.clock.time += 10
        for path in ("/agents", "/events"):
            reply = await floor.get(path)
            assert (reply.status, code_of(reply)) == (401, "auth.expired")
            assert "ctid token" in reply.json["detail"]
            assert 'error="invalid_token"' in reply.headers["WWW-Authenticate"]
        assert (await floor.get("/agents", "viewer")).status == 200


async def test_a_socket_ends_with_its_token() -> None:
    """When its token expires, a socket is closed with 4401 and why; one of another user goes on."""
    async with expiring_floor(supervisor=10, viewer=1000) as floor:
        await floor.populate()
        ending, staying = await floor.events(), await floor.events(role="viewer")
        await ending.next()
        floor.clock.time += 10
        assert await ending.ended() == 4401
        assert (await staying.call("status.get"))["status"] == 200
        await staying.socket.close()
        sockets = floor.server._sockets
        assert sockets is not None
        await eventually(lambda: not [task for task in sockets.tasks._tasks if "expiry" in task.get_name()])


async def test_no_operation_on_a_socket_whose_token_has_expired() -> None:
    """What comes over a socket between the expiry and its close is refused."""
    async with expiring_floor(Limits(), supervisor=10) as floor:
        events = await floor.events()
        floor.clock.time += 10
        reply = await events.call("supervisions.create", START)
        assert (reply["status"], reply["problem"]["code"]) == (401, "auth.expired")
        assert floor.supervisions.asked == []
        await events.socket.close()


async def test_status_tells_what_expires_soon() -> None:
    """An admin is told of every token that expires within 14 days, the others of their own."""
    async with expiring_floor(supervisor=13 * DAY_S, viewer=DAY_S, integrator=20 * DAY_S) as floor:
        told = {
            role: [token["name"] for token in (await floor.get("/status", role)).json["tokens"]]
            for role in FLOOR_ROLES
        }
    assert told == {
        "admin": ["a viewer", "a supervisor"],
        "supervisor": ["a supervisor"],
        "viewer": ["a viewer"],
        "integrator": [],
    }


# Commands that come twice -----------------------------------------------------------------------------


async def test_a_replayed_command_is_done_once(floor: Floor) -> None:
    """The same key and request: the first answer again, marked; the order in its JSON is no matter."""
    first = await start(floor, KEY)
    turned = json.dumps(dict(reversed(START.items())) | {"mode": "listen"}).encode()
    again = await floor.request("POST", PATH, data=turned, headers=KEY | {"Content-Type": "application/json"})
    assert (first.status, again.status, again.text) == (201, 201, first.text)
    assert "Idempotency-Replayed" not in first.headers
    assert again.headers["Idempotency-Replayed"] == "true"
    assert len(floor.supervisions.asked) == 1


async def test_a_key_is_good_on_every_carrier(floor: Floor) -> None:
    """A command that was sent over a socket may come again over HTTP, and the other way round."""
    events = await floor.events()
    message = {"operation": "supervisions.create", "params": START, "key": "k1"}
    await events.socket.send_json(message | {"id": 1})
    first = await events.until("reply")
    await events.socket.send_json(message | {"id": 2})
    again = await events.until("reply")
    over_http = await start(floor, {"Idempotency-Key": "k1"})
    assert ("replayed" in first, again["replayed"], again["id"]) == (False, True, 2)
    assert again["result"] == first["result"] == over_http.json
    assert over_http.headers["Idempotency-Replayed"] == "true"
    assert len(floor.supervisions.asked) == 1
    await events.socket.close()


async def test_a_replay_waits_for_the_first(floor: Floor) -> None:
    """While the first is under way, the same again waits for its answer."""
    floor.supervisions.gate.clear()
    async with asyncio.TaskGroup() as group:
        asked = [group.create_task(start(floor, KEY)) for _ in range(3)]
        await eventually(lambda: floor.supervisions.asked)
        await asyncio.sleep(0.05)
        floor.supervisions.gate.set()
    assert [task.result().status for task in asked] == [201, 201, 201]
    assert sum("Idempotency-Replayed" in task.result().headers for task in asked) == 2
    assert len(floor.supervisions.asked) == 1


async def test_a_key_of_another_request(floor: Floor) -> None:
    """With other parameters, or another operation, the key is refused; another user's is another key."""
    await start(floor, KEY)
    path = f"{PATH}/{SESSION}"
    for reply in (
        await start(floor, KEY, mode="barge"),
        await floor.request("PATCH", path, json={"mode": "barge"}, headers=KEY),
        await floor.request("DELETE", path, headers=KEY),
    ):
        assert (reply.status, code_of(reply)) == (422, "request.key_reused")
    other = await floor.request("POST", PATH, "admin", json=START, headers=KEY)
    assert "Idempotency-Replayed" not in other.headers
    assert len(floor.supervisions.asked) == 2


async def test_what_is_kept_of_refusals(floor: Floor) -> None:
    """A refusal of what was tried is kept; one of the request's form leaves the key free."""
    assert (await start(floor, KEY, mode="shout")).status == 422
    floor.supervisions.refusal = SupervisionRefused("phone_busy", "she talks")
    assert code_of(await start(floor, KEY)) == "supervision.phone_busy"
    floor.supervisions.refusal = None
    again = await start(floor, KEY)
    assert (again.status, code_of(again)) == (409, "supervision.phone_busy")
    assert again.headers["Idempotency-Replayed"] == "true"
    assert (await start(floor)).status == 201


async def test_a_fault_is_kept_as_well(floor: Floor) -> None:
    """What failed unexpectedly may have been done by half: its key does not do it once more."""
    floor.supervisions.refusal = ZeroDivisionError()
    assert (await start(floor, KEY)).status == 500
    floor.supervisions.refusal = None
    assert (await start(floor, KEY)).status == 500
    assert len(floor.supervisions.asked) == 1


@pytest.mark.parametrize("key", ["", "two words", "x" * 129, "\u00e9"])
async def test_what_is_no_key(floor: Floor, key: str) -> None:
    """A key is 1 to 128 visible characters, and stands once."""
    reply = await start(floor, {"Idempotency-Key": key})
    assert (reply.status, reply.json["field"]) == (422, "Idempotency-Key")
    events = await floor.events()
    message = {"id": 1, "operation": "supervisions.create", "params": START, "key": key}
    await events.socket.send_json(message)
    assert (await events.until("reply"))["problem"]["field"] == "key"
    await events.socket.close()
    assert floor.supervisions.asked == []


async def test_a_read_needs_no_key(floor: Floor) -> None:
    """A GET with a key is read anew."""
    for name in ("lunch", "training"):
        await floor.pause("1002", name)
        reply = await floor.request("GET", "/api/v1/agents/1002", headers=KEY)
        assert reply.json["reason"] == name


async def test_controls_reach_nobody(floor: Floor) -> None:
    """A line break in a note is refused by its field before the service hears of it."""
    for odd in ("\r\nAction: Hangup", "\0", "\u2028"):
        reply = await start(floor, note=f"first day{odd}")
        assert (reply.status, reply.json["field"]) == (422, "note")
    assert floor.supervisions.asked == []
