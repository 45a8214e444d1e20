"""As much of an ARI server as a connection needs: an event socket, lists, and a session in them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

from ctid.model.entities import Supervision
from ctid.model.ids import CallId, LegId, SupervisionId
from ctid.model.instant import Instant
from ctid.model.words import Mode, Purpose, SupervisionState
from ctid_asterisk.sessions import Record, pack
from helpers.ami_words import PBX

AT = Instant(1000.0)
SESSION = Supervision(
    id=SupervisionId("s1"),
    pbx=PBX,
    state=SupervisionState.ACTIVE,
    mode=Mode.LISTEN,
    since=AT,
    started_at=AT,
    supervisor="zoe",
    phone="2001",
    agent=None,
    call=CallId("lab.1.1"),
    purpose=Purpose.QUALITY,
)
PHONE, SNOOP = "ctid-ctid.s1-phone-1000.1", "ctid-ctid.s1-listen_both-1000.2"


class AriServer:
    """As much of ARI as a connection needs: an event socket, and lists."""

    def __init__(self) -> None:
        self.channels: list[dict[str, Any]] = []
        self.bridges: list[dict[str, Any]] = []
        self.asked: list[str] = []
        self.queries: list[dict[str, str]] = []
        self.silent = False
        """No packets come or go."""
        self._packets = 0
        self.sockets: list[web.WebSocketResponse] = []
        self.status = 200
        self.refused: set[str] = set()
        """HTTP methods that are answered with an error."""
        self.url = ""

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer."""
        if self.status != 200 or request.method in self.refused:
            return web.json_response({"message": "no"}, status=max(self.status, 400))
        path = request.path.removeprefix("/ari/")
        if path == "events":
            socket = web.WebSocketResponse()
            await socket.prepare(request)
            self.sockets.append(socket)
            async for _ in socket:
                pass
            return socket
        self.asked.append(f"{request.method} {path}")
        self.queries.append(dict(request.query))
        if request.method == "POST" and "/snoop/" in path:
            await self.tell("StasisStart", path.rpartition("/")[2])
        lists = {"channels": self.channels, "bridges": self.bridges}
        if path.endswith("/variable"):
            return web.json_response({"value": pack(Record(supervision=SESSION, target=LegId("1.4")))})
        if path.endswith("/rtp_statistics"):
            self._packets += 0 if self.silent else 1
            return web.json_response({"rxcount": self._packets, "txcount": self._packets})
        return web.json_response(lists[path]) if path in lists else web.Response(status=204)

    def has_session(self, customer: str = "") -> None:
        """The PBX holds a session; of a customer, if he was taken over."""
        self.channels = [{"id": name, "state": "Up"} for name in (PHONE, SNOOP)]
        self.bridges = [{"id": "ctid-ctid.s1", "channels": [PHONE, SNOOP]}]
        if customer:
            self.channels = [{"id": name, "state": "Up"} for name in (PHONE, customer)]
            self.bridges = [{"id": "b2", "channels": [PHONE, customer]}]

    async def tell(self, kind: str, channel: str, **more: object) -> None:
        """Send an event."""
        for socket in self.sockets:
            await socket.send_json({"type": kind, "channel": {"id": channel}, **more})

    async def cut(self) -> None:
        """End the event sockets."""
        for socket in self.sockets:
            await socket.close()
        self.sockets.clear()


@asynccontextmanager
async def ari_server() -> AsyncIterator[AriServer]:
    """An ARI on a free port."""
    made = AriServer()
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", made.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    made.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield made
    await made.cut()
    await runner.cleanup()


def with_ari(ari: AriServer) -> dict[str, object]:
    """The settings of it."""
    return {"ari": {"url": ari.url, "username": "ctid", "password": "p"}}
