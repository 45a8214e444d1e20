"""Server-sent events: the same stream as over the WebSocket, for `curl -N` and an `EventSource`."""

import asyncio
import json
import shutil
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest

from api.support import BOOT, DEADLINE_S, NOW, Floor, eventually, token_of
from ctid.api.context import Limits
from ctid.model.instant import Instant

PATH = "/api/v1/events/stream"


class Stream:
    """A client that reads events by the standard's rules (WHATWG HTML section 9.2.6)."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self.response = response
        self.last_id = ""
        self.comments = 0

    async def next(self) -> tuple[str, Any]:
        """The next event's type and document. Raises EOFError at the end."""
        kind, data = "message", ""
        async with asyncio.timeout(DEADLINE_S):
            while line := await self.response.content.readline():
                name, _, value = line.decode().rstrip("\n").partition(": ")
                if not name and data:
                    return kind, json.loads(data)
                if name == "id":
                    self.last_id = value
                elif name == "event":
                    kind = value
                elif name == "data":
                    data += value
                elif name.startswith(":") or (not name and value):
                    self.comments += 1
                elif not name:
                    kind = "message"
        raise EOFError


@asynccontextmanager
async def following(
    floor: Floor, query: str = "", role: str = "supervisor", last: str | None = None
) -> AsyncIterator[Stream]:
    """Follow the events; after the `last` one that a client had."""
    headers = {"Authorization": f"Bearer {token_of(role)}"}
    if last is not None:
        headers["Last-Event-ID"] = last
    async with floor.http.get(f"{PATH}{query}", headers=headers) as response:
        assert response.status == 200, await response.text()
        yield Stream(response)


async def test_the_same_as_over_the_websocket(floor: Floor) -> None:
    """Snapshot and changes are those of a WebSocket, and each event's id says where it stands."""
    events = await floor.events("?kind=agent,call&team=red,blue")
    async with following(floor, "?kind=agent,call&team=red,blue") as stream:
        assert stream.response.headers["Content-Type"] == "text/event-stream"
        assert stream.response.headers["Cache-Control"] == "no-store"
        assert "Content-Encoding" not in stream.response.headers
        kind, snapshot = await stream.next()
        assert (kind, snapshot["reason"]) == ("snapshot", "first")
        assert stream.last_id == f"{BOOT}.{floor.hub.store.seq}"
        assert snapshot | {"at": ""} == await events.next() | {"at": ""}
        for number in range(5):
            await floor.pause("1002", f"reason {number}")
        for number in range(5):
            kind, change = await stream.next()
            assert (kind, change["entity"]["reason"]) == ("change", f"reason {number}")
            assert change == await events.next()
            assert stream.last_id == f"{BOOT}.{change['seq']}"
    await events.socket.close()


async def test_a_client_that_leaves_is_forgotten() -> None:
    """A stream whose client has gone ends by the next heartbeat."""
    async with Floor(Limits(heartbeat_s=0.05)) as floor:
        await floor.populate()
        async with following(floor) as stream:
            await stream.next()
            assert len(floor.subscriptions) == 2
        await eventually(lambda: len(floor.subscriptions) <= 1)


async def test_a_role_sees_what_it_may(floor: Floor) -> None:
    """A viewer's stream has numbers masked and no sessions."""
    async with following(floor, role="viewer") as stream:
        _, snapshot = await stream.next()
        assert "supervisions" not in snapshot["entities"]
        assert snapshot["entities"]["calls"][0]["parties"][0]["number"] == "********78"


async def test_resume_by_the_last_event(floor: Floor) -> None:
    """Whoever comes back with the id of an event misses nothing, whatever the address says."""
    async with following(floor, "?kind=agent") as stream:
        await stream.next()
        last = stream.last_id
    for number in range(20):
        await floor.pause("1002", f"reason {number}")
    async with following(floor, f"?kind=agent&after=0&boot_id={BOOT}", last=last) as stream:
        kind, resumed = await stream.next()
        assert (kind, f"{BOOT}.{resumed['after']}", stream.last_id) == ("resumed", last, last)
        told = [(await stream.next())[1]["entity"]["reason"] for _ in range(20)]
        assert told == [f"reason {number}" for number in range(20)]


async def test_a_last_event_of_another_start(floor: Floor) -> None:
    """After a restart of ctid there is a snapshot, which says why; so is an empty id a first time."""
    async with following(floor, last="another.7") as stream:
        kind, snapshot = await stream.next()
        assert (kind, snapshot["reason"]) == ("snapshot", "restarted")
    async with following(floor, last="") as stream:
        assert (await stream.next())[1]["reason"] == "first"


@pytest.mark.parametrize("ident", ["7", "x.", f"{BOOT}.-1", f"{BOOT}.1e3", f"{BOOT}.{'9' * 16}"])
async def test_an_id_that_is_none(floor: Floor, ident: str) -> None:
    """What cannot be the id of an event is refused by the header's name."""
    reply = await floor.request("GET", PATH, headers={"Last-Event-ID": ident})
    assert (reply.status, reply.json["code"], reply.json["field"]) == (
        422,
        "request.invalid",
        "Last-Event-ID",
    )


@pytest.mark.parametrize(
    ("query", "role", "status"),
    [("?kind=cat", "viewer", 422), ("?after=1", "viewer", 422), ("", None, 401), ("?token=x", None, 401)],
)
async def test_refused(floor: Floor, query: str, role: str | None, status: int) -> None:
    """A refusal is a problem document before the stream begins."""
    reply = await floor.request("GET", PATH + query, role)
    assert reply.status == status
    assert reply.headers["Content-Type"].startswith("application/problem+json")


async def test_silence_is_a_comment_that_moves_the_id() -> None:
    """A heartbeat is told to no listener, and whoever is cut off after it resumes from there."""
    async with Floor(Limits(heartbeat_s=0.05)) as floor:
        await floor.populate()
        async with following(floor, "?kind=device") as stream:
            await stream.next()
            await floor.pause("1002", "lunch")
            seq = floor.hub.store.seq
            waiting = asyncio.ensure_future(stream.next())  # noqa: TID251 - a reader that never gets an event
            await eventually(lambda: stream.last_id == f"{BOOT}.{seq}" and stream.comments > 2)
            assert not waiting.done()
            waiting.cancel()


async def test_goodbye(floor: Floor) -> None:
    """When ctid stops, the last event says so."""
    async with following(floor) as stream:
        await stream.next()
        ended, _ = await asyncio.gather(stream.next(), floor.server.close())
        assert ended == ("closed", {"type": "closed", "code": 1001, "reason": "ctid stops"})
        with pytest.raises(EOFError):
            await stream.next()


async def test_a_token_that_expires(monkeypatch: pytest.MonkeyPatch) -> None:
    """The stream of a token that expires meanwhile ends, and says why."""
    async with Floor(Limits(heartbeat_s=0.05)) as floor:
        await floor.populate()
        monkeypatch.setitem(floor.identity.directory.expiries, "a viewer", Instant(NOW + 10))
        async with following(floor, role="viewer") as stream, following(floor) as other:
            await stream.next()
            await other.next()
            floor.clock.time = NOW + 10
            kind, closed = await stream.next()
            assert (kind, closed["code"]) == ("closed", 4401)
            with pytest.raises(EOFError):
                await stream.next()
            await floor.pause("1002", "lunch")
            assert (await other.next())[0] == "change"


async def test_a_slow_reader_is_cut_off_and_holds_nobody_up() -> None:
    """Who does not read loses the connection in bounded time; the others lose nothing."""
    async with Floor(Limits(waiting=100, send_s=0.3, close_s=0.3)) as floor:
        await floor.populate()
        async with following(floor, "?kind=agent") as quick:
            await quick.next()
            with slow_client(floor):
                await eventually(lambda: len(floor.subscriptions) >= 3)
                reading = asyncio.gather(*[numbers(quick, 3000)])
                for number in range(3000):
                    await floor.pause("1002", f"{number} " + "x" * 2000)
                assert (await reading)[0] == list(range(3000))
                await eventually(lambda: len(floor.subscriptions) <= 2)


async def test_a_slow_reader_is_told_why() -> None:
    """Who was too slow and reads after all gets what was kept for it, and then the reason."""
    async with Floor(Limits(waiting=100, send_s=60.0, close_s=8.0)) as floor:
        await floor.populate()
        with slow_client(floor) as slow:
            slow.setblocking(False)
            await eventually(lambda: len(floor.subscriptions) >= 2)
            for number in range(3000):
                await floor.pause("1002", f"{number} " + "x" * 2000)
            received, loop = b"", asyncio.get_running_loop()
            async with asyncio.timeout(DEADLINE_S):
                while b"event: closed\n" not in received[-4096:]:
                    received += await loop.sock_recv(slow, 1 << 16)
            assert b'data: {"type":"closed","code":4408,"reason":"too slow: ' in received[-4096:]


async def numbers(stream: Stream, count: int) -> list[int]:
    """The numbers in the reasons of the next changes."""
    return [int((await stream.next())[1]["entity"]["reason"].split()[0]) for _ in range(count)]


def slow_client(floor: Floor) -> socket.socket:
    """A connection that asks for the events and reads nothing."""
    slow = socket.create_connection(floor.server.address)
    head = f"GET {PATH} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token_of('supervisor')}\r\n\r\n"
    slow.sendall(head.encode())
    return slow


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl here")
async def test_curl(floor: Floor) -> None:
    """`curl -N` prints the events as they come."""
    curl = await asyncio.create_subprocess_exec(
        "curl", "-sN", "-H", f"Authorization: Bearer {token_of('viewer')}", f"{floor.url}{PATH}?kind=agent",
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert curl.stdout is not None
    try:
        async with asyncio.timeout(DEADLINE_S):
            assert await curl.stdout.readuntil(b"event: snapshot\n")
            await floor.pause("1002", "lunch")
            await curl.stdout.readuntil(b"event: change\n")
            assert b'"reason":"lunch"' in await curl.stdout.readline()
    finally:
        curl.terminate()
        await curl.wait()
