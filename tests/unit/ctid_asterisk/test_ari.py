"""The client of ARI against a web server that answers as it is told to."""

import asyncio
import base64
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web

from ctid_asterisk import ari as rooms
from ctid_asterisk.actions import DialPlace, dial_place
from ctid_asterisk.ari import Ari, AriError, AriLost
from ctid_asterisk.wire import EncodeError

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]
PASSWORD = "p:w"
WHO = "Basic " + base64.b64encode(f"ctid:{PASSWORD}".encode()).decode()


class Server:
    """One Asterisk's web server: what it was asked, and what it says."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, dict[str, str], Any]] = []
        self.answer: Answer = self.empty
        self.socket: Answer = self.quiet
        self.url = ""

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Note a request, and answer it."""
        if request.headers.get("Authorization") != WHO:
            return web.json_response({"message": "Authentication required"}, status=401)
        if request.path == "/ari/events":
            assert dict(request.query) == {"app": "ctid", "subscribeAll": "false"}
            return await self.socket(request)
        body = await request.json() if request.can_read_body else None
        self.asked.append((request.method, request.path, dict(request.query), body))
        return await self.answer(request)

    async def empty(self, _: web.Request) -> web.StreamResponse:
        """No content."""
        return web.Response(status=204)

    def says(self, status: int, body: object) -> None:
        """Answer with JSON, or with text as a page."""

        async def answer(_: web.Request) -> web.StreamResponse:
            if isinstance(body, str):
                return web.Response(status=status, text=body, content_type="text/html")
            return web.json_response(body, status=status)

        self.answer = answer

    async def quiet(self, request: web.Request) -> web.StreamResponse:
        """A socket that says nothing, for as long as the client stays."""
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await socket.receive()
        return socket


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    """A server on a free port."""
    made = Server()
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", made.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    made.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield made
    await runner.cleanup()


@asynccontextmanager
async def client(server: Server, word: str = PASSWORD) -> AsyncIterator[Ari]:
    """A client of it, not yet open."""
    made = Ari(f"{server.url}/", "ctid", word, "ctid")
    try:
        yield made
    finally:
        await made.close()


REQUESTS: list[tuple[Callable[[Ari], Awaitable[object]], str, str, dict[str, str], object]] = [
    (lambda ari: ari.hang_up("c"), "DELETE", "channels/c", {"reason": "normal"}, None),
    (lambda ari: ari.mute("c", on=True), "POST", "channels/c/mute", {"direction": "in"}, None),
    (lambda ari: ari.mute("c", on=False), "DELETE", "channels/c/mute", {"direction": "in"}, None),
    (
        lambda ari: ari.create_bridge("b"),
        "POST",
        "bridges/b",
        {"type": "mixing", "name": "b"},
        None,
    ),
    (lambda ari: ari.destroy_bridge("b"), "DELETE", "bridges/b", {}, None),
    (
        lambda ari: ari.add("b", "c"),
        "POST",
        "bridges/b/addChannel",
        {"channel": "c", "absorbDTMF": "false"},
        None,
    ),
    (
        lambda ari: ari.add("b", "c", absorb_dtmf=True),
        "POST",
        "bridges/b/addChannel",
        {"channel": "c", "absorbDTMF": "true"},
        None,
    ),
    (lambda ari: ari.take_out("b", "c"), "POST", "bridges/b/removeChannel", {"channel": "c"}, None),
    (
        lambda ari: ari.snoop("1.4", "s", spy="in", whisper="out"),
        "POST",
        "channels/1.4/snoop/s",
        {"spy": "in", "whisper": "out", "app": "ctid"},
        None,
    ),
    (
        lambda ari: ari.play("c", "p", "tone:1400/300,0/60000"),
        "POST",
        "channels/c/play/p",
        {},
        {"media": ["tone:1400/300,0/60000"]},
    ),
    (
        lambda ari: ari.play_to_bridge("b", "p", "tone:425/60,0/5000"),
        "POST",
        "bridges/b/play/p",
        {},
        {"media": ["tone:425/60,0/5000"]},
    ),
    (lambda ari: ari.stop_play("p"), "DELETE", "playbacks/p", {}, None),
    (
        lambda ari: ari.follow("1.1"),
        "POST",
        "applications/ctid/subscription",
        {"eventSource": "channel:1.1"},
        None,
    ),
    (
        lambda ari: ari.set_variable("c", "V", "x"),
        "POST",
        "channels/c/variable",
        {},
        {"variable": "V", "value": "x"},
    ),
    (
        lambda ari: ari.ring("c", "PJSIP/2001", 19.6, '"a" <1>', {"V": "x"}),
        "POST",
        "channels/c",
        {"endpoint": "PJSIP/2001", "app": "ctid", "callerId": '"a" <1>', "timeout": "20"},
        {"variables": {"V": "x"}},
    ),
    (
        lambda ari: ari.dial(
            "c", DialPlace("Local/1007@from-queue/n", "s1", "back"), ring_s=0.2, variables={"V": "x"}
        ),
        "POST",
        "channels/c",
        {
            "endpoint": "Local/1007@from-queue/n",
            "context": "back",
            "extension": "s1",
            "priority": "1",
            "timeout": "1",
        },
        {"variables": {"V": "x"}},
    ),
    (
        lambda ari: ari.dial("c", dial_place("PJSIP/1001", "80003001", "x"), ring_s=20.0, caller_id="1001"),
        "POST",
        "channels/c",
        {
            "endpoint": "PJSIP/1001",
            "context": "x",
            "extension": "80003001",
            "priority": "1",
            "callerId": "1001",
            "timeout": "20",
        },
        None,
    ),
]


@pytest.mark.parametrize(("ask", "method", "path", "query", "body"), REQUESTS)
async def test_each_request_is_the_one_that_the_interface_documents(
    server: Server,
    ask: Callable[[Ari], Awaitable[object]],
    method: str,
    path: str,
    query: dict[str, str],
    body: object,
) -> None:
    """Method, path, query and body are those of Asterisk's own pages."""
    async with client(server) as ari:
        await ask(ari)
    assert server.asked == [(method, f"/ari/{path}", query, body)]


@pytest.mark.parametrize("endpoint", ["PJSIP/2001&PJSIP/0033612345678", "Local/1@x", "PJSIP/2001\n"])
async def test_only_one_phone_is_rung(server: Server, endpoint: str) -> None:
    """What is not one phone's address is not sent."""
    async with client(server) as ari:
        with pytest.raises(EncodeError):
            await ari.ring("c", endpoint, 20.0, "", {})
    assert server.asked == []


async def test_lists_and_variables_are_read(server: Server) -> None:
    """What is asked for is returned as JSON has it."""
    async with client(server) as ari:
        server.says(200, [{"id": "1.1"}])
        assert await ari.channels() == [{"id": "1.1"}]
        assert await ari.bridges() == [{"id": "1.1"}]
        server.says(200, {"value": "abc"})
        assert await ari.variable("1.1", "V") == "abc"
    assert server.asked[-1][2] == {"variable": "V"}


async def test_a_variable_that_is_not_set_is_empty(server: Server) -> None:
    """ARI says 404 for it, and any other error is one."""
    async with client(server) as ari:
        server.says(404, {"message": "Provided variable was not found"})
        assert await ari.variable("1.1", "V") == ""
        server.says(409, {"message": "Channel not in Stasis application"})
        with pytest.raises(AriError):
            await ari.variable("1.1", "V")


async def test_packets_are_counted(server: Server) -> None:
    """Those that came from a channel, and those that went to it; who has no RTP has no counts."""
    async with client(server) as ari:
        server.says(200, {"rxcount": 5, "txcount": 7, "rxploss": 0})
        assert await ari.packets("1.1") == (5, 7)
        for status in (404, 409, 500):
            server.says(status, {"message": "no"})
            assert await ari.packets("1.1") is None
        server.says(401, {"message": "no"})
        with pytest.raises(AriError):
            await ari.packets("1.1")
    assert server.asked[0][:2] == ("GET", "/ari/channels/1.1/rtp_statistics")


async def test_to_delete_what_is_gone_is_no_error(server: Server) -> None:
    """A channel that hung up by itself is hung up; any other refusal is told."""
    async with client(server) as ari:
        server.says(404, {"message": "Channel not found"})
        await ari.hang_up("c")
        await ari.destroy_bridge("b")
        await ari.stop_play("p")
        with pytest.raises(AriError):
            await ari.mute("c", on=False)
        server.says(500, {"message": "no"})
        with pytest.raises(AriError):
            await ari.hang_up("c")


@pytest.mark.parametrize(
    ("status", "body", "message"),
    [
        (404, {"message": "Channel not found"}, "Channel not found"),
        (500, {"error": "Allocation failed"}, "Allocation failed"),
        (422, ["odd"], "Unprocessable Entity"),
        (404, "<html><title>404 Not Found</title></html>", "Not Found"),
        (502, "", "Bad Gateway"),
    ],
)
async def test_an_error_bears_its_status_and_message(
    server: Server, status: int, body: object, message: str
) -> None:
    """Either of ARI's two forms, and the error pages of a server in front of it, or of one without ARI."""
    async with client(server) as ari:
        server.says(status, body)
        with pytest.raises(AriError) as refused:
            await ari.follow("c")
    assert (refused.value.status, refused.value.message) == (status, message)


async def test_a_wrong_password_is_401(server: Server) -> None:
    """For requests and for the event socket alike."""
    async with client(server, "wrong") as ari:
        with pytest.raises(AriError) as refused:
            await ari.channels()
        assert (refused.value.status, refused.value.message) == (401, "Authentication required")
        with pytest.raises(AriError) as refused:
            await ari.open()
        assert refused.value.status == 401


async def test_a_page_instead_of_an_answer_is_a_lost_ari(server: Server) -> None:
    """Something else than ARI answers at this address."""
    async with client(server) as ari:
        server.says(200, "<html>welcome</html>")
        with pytest.raises(AriLost, match="not of ARI"):
            await ari.channels()


async def test_an_answer_that_does_not_come_is_a_lost_ari(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A request is given up after its time."""
    monkeypatch.setattr(rooms, "REQUEST_S", 0.05)

    async def never(_: web.Request) -> web.StreamResponse:
        await asyncio.Event().wait()
        raise AssertionError

    server.answer = server.socket = never
    async with client(server) as ari:
        with pytest.raises(AriLost, match="TimeoutError"):
            await ari.channels()
        with pytest.raises(AriLost):
            async with asyncio.timeout(5.0):
                await ari.open()


async def test_nobody_there_is_a_lost_ari() -> None:
    """Neither a request nor the event socket can reach a port that nobody listens on."""
    async with client(Server()) as ari:
        for step in (ari.open(), ari.channels()):
            with pytest.raises(AriLost):
                await step


async def test_after_its_end_a_session_is_lost(server: Server) -> None:
    """Whoever still asks is told as if the PBX were gone, and a second close is nothing."""
    async with client(server) as ari:
        await ari.open()
        await ari.close()
        with pytest.raises(AriLost, match="has ended"):
            await ari.hang_up("c")
        await ari.close()


async def test_events_are_told_until_the_socket_ends(server: Server) -> None:
    """Each text is an event, anything else is none, and the end is an error."""

    async def three(request: web.Request) -> web.StreamResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await socket.send_str('{"type": "StasisStart"}')
        await socket.send_bytes(b"odd")
        await socket.send_str('{"type": "StasisEnd"}')
        await socket.close(code=1001)
        return socket

    server.socket = three
    async with client(server) as ari:
        await ari.open()
        events = ari.events()
        assert [(await anext(events))["type"] for _ in range(2)] == ["StasisStart", "StasisEnd"]
        with pytest.raises(AriLost, match="1001"):
            await anext(events)


async def test_a_socket_that_breaks_off_is_a_lost_ari(server: Server) -> None:
    """A PBX that is killed says no goodbye."""

    async def broken(request: web.Request) -> web.StreamResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        assert request.transport is not None
        request.transport.abort()
        return socket

    server.socket = broken
    async with client(server) as ari:
        await ari.open()
        with pytest.raises(AriLost):
            await anext(ari.events())


async def test_a_socket_that_falls_silent_is_a_lost_ari(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without an answer to its pings the socket is ended from here."""
    monkeypatch.setattr(rooms, "HEARTBEAT_S", 0.05)

    async def deaf(request: web.Request) -> web.StreamResponse:
        socket = web.WebSocketResponse(autoping=False)
        await socket.prepare(request)
        assert request.transport is not None
        transport = request.transport
        assert isinstance(transport, asyncio.Transport)
        transport.pause_reading()
        await asyncio.Event().wait()
        return socket

    server.socket = deaf
    async with client(server) as ari:
        await ari.open()
        with pytest.raises(AriLost):
            async with asyncio.timeout(4.0):
                await anext(ari.events())
