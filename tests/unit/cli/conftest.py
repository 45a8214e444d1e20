import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from aiohttp import WSMsgType, web

from ctid.cli import main
from helpers.logging_setup import logging_restored

Answer = tuple[int, Any]


class FakeCtid:
    """A server that answers as it is told and keeps what it was asked; runs in a thread of its own."""

    def __init__(self) -> None:
        self.answers: dict[str, Answer] = {}
        """By method and path with its query, such as `GET /agents?limit=500`; first the longest that fits."""
        self.asked: list[tuple[str, str, Any]] = []
        """Method, path with query, and the body."""
        self.headers: list[dict[str, str]] = []
        self.messages: list[dict[str, Any]] = []
        """What each event socket is sent when it opens."""
        self.ringing = False
        """While true, a POST waits for its answer; a DELETE ends that."""
        self.opened = 0
        self.url = ""
        self._sockets: set[web.WebSocketResponse] = set()
        self._loop = asyncio.new_event_loop()
        self._up, self._end = threading.Event(), asyncio.Event()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._serve(),))

    def start(self) -> None:
        """Listen on a free port."""
        self._thread.start()
        assert self._up.wait(10)

    def stop(self) -> None:
        """Stop, and wait for the thread's end."""
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join(10)
        assert not self._thread.is_alive()
        self._loop.close()

    def push(self, message: dict[str, Any]) -> None:
        """Send a message to every open event socket."""
        self._now(self._push(message))

    def hang_up(self) -> None:
        """Close every open event socket."""
        self._now(self._hang_up())

    def _now(self, coroutine: Any) -> None:
        asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(10)

    async def _push(self, message: dict[str, Any]) -> None:
        for socket in self._sockets:
            await socket.send_json(message)

    async def _hang_up(self) -> None:
        for socket in list(self._sockets):
            await socket.close()

    async def _serve(self) -> None:
        app = web.Application()
        app.router.add_get("/api/v1/events", self._events)
        app.router.add_route("*", "/{path:.*}", self._answer)
        runner = web.AppRunner(app, shutdown_timeout=1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        self._up.set()
        await self._end.wait()
        await self._hang_up()
        await runner.cleanup()

    async def _answer(self, request: web.Request) -> web.Response:
        path = request.raw_path.removeprefix("/api/v1")
        body = await request.json() if request.can_read_body else None
        self.asked.append((request.method, path, body))
        if request.method == "POST":
            while self.ringing:  # noqa: ASYNC110 - an event would belong to one loop; the test sets it in another
                await asyncio.sleep(0.005)
        if request.method == "DELETE":
            self.ringing = False
        self.headers.append(dict(request.headers))
        keys = [key for key in self.answers if f"{request.method} {path}".startswith(key)]
        status, document = (
            self.answers[max(keys, key=len)] if keys else problem(404, "agent.unknown", "no such")
        )
        if isinstance(document, str):
            return web.Response(text=document, status=status, content_type="text/html")
        return web.json_response(document, status=status)

    async def _events(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(("WS", request.raw_path.removeprefix("/api/v1"), None))
        if "GET /events" in self.answers:
            status, document = self.answers["GET /events"]
            return web.json_response(document, status=status)
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        self._sockets.add(socket)
        self.opened += 1
        try:
            for message in self.messages:
                await socket.send_json(message)
            while (await socket.receive()).type not in (WSMsgType.CLOSE, WSMsgType.CLOSING, WSMsgType.CLOSED):
                pass
        finally:
            self._sockets.discard(socket)
        return socket


def problem(status: int, code: str, detail: str) -> Answer:
    """A problem document, and its status."""
    return status, {"type": "about:blank", "title": "t", "status": status, "code": code, "detail": detail}


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeCtid]:
    """A ctid to ask; the environment names it."""
    fake = FakeCtid()
    fake.start()
    monkeypatch.setenv("CTID_URL", fake.url)
    monkeypatch.setenv("CTID_TOKEN", "t0ken")
    yield fake
    fake.stop()


Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    """Leave logging as it was found: the command sets it up."""
    with logging_restored():
        yield


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run the command in this process; returns exit code, standard output and standard error."""
    monkeypatch.setenv("COLUMNS", "200")

    def run_command(*argv: str) -> tuple[int, str, str]:
        code = main(argv)
        written = capsys.readouterr()
        return int(code), written.out, written.err

    return run_command


@pytest.fixture
def run_json(run: Run) -> Callable[..., tuple[int, Any]]:
    """Run the command with `--json`; returns exit code and the document, from wherever it was written."""

    def run_command(*argv: str) -> tuple[int, Any]:
        code, out, err = run(*argv, "--json")
        return code, json.loads(out or err)

    return run_command


AT = "2026-03-01T08:00:00.000Z"
AGENT = {
    "id": "1001",
    "pbx": "main",
    "name": "Alice",
    "team": "blue",
    "state": "busy",
    "since": AT,
    "call": "main.1",
    "queues": [{"queue": "support", "state": "busy", "calls_taken": 1}],
}
QUEUE = {
    "id": "support",
    "pbx": "main",
    "name": "Support",
    "since": AT,
    "waiting": [{"call": "main.2", "position": 1, "since": AT}],
    "agents": {"busy": 1, "ready": 2},
}
CALL = {
    "id": "main.1",
    "pbx": "main",
    "state": "connected",
    "since": AT,
    "started_at": AT,
    "direction": "inbound",
    "queue": "support",
    "supervisions": ["s1"],
    "parties": [
        {"leg": "1", "role": "customer", "state": "connected", "since": AT, "number": "0612", "name": "Zoé"},
        {"leg": "2", "role": "agent", "state": "connected", "since": AT, "number": "1001", "agent": "1001"},
    ],
}
SESSION = {
    "id": "s1",
    "pbx": "main",
    "state": "active",
    "mode": "listen",
    "since": AT,
    "started_at": AT,
    "supervisor": "anna",
    "phone": "2001",
    "agent": "1001",
    "call": "main.1",
    "purpose": "quality",
}
PBX = {"id": "main", "driver": "asterisk", "state": "connected", "since": AT, "version": "22.1", "reason": ""}
STATUS = {
    "version": "0.1.0",
    "site": "lab",
    "boot_id": "b",
    "started_at": "2026-03-01T07:00:00.000Z",
    "at": AT,
    "seq": 7,
    "ready": True,
    "missing": [],
    "pbxs": [PBX],
    "broker": {"connected": True, "published": 12},
}
SNAPSHOT = {
    "type": "snapshot",
    "seq": 7,
    "boot_id": "b",
    "at": AT,
    "entities": {
        "pbxs": [PBX],
        "agents": [AGENT],
        "queues": [QUEUE],
        "calls": [CALL],
        "supervisions": [SESSION],
        "devices": [],
    },
}
