"""The shipped nginx configuration, in a real nginx, before a real server of the API."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from api.support import DEADLINE_S, Floor, eventually, token_of
from ctid.api.context import Web
from ctid.api.proxies import Proxies
from ctid.model.web import network_of
from helpers.certificates import issue
from lab.ports import free_port
from lab.root import ensure_root

pytestmark = pytest.mark.lab

SHIPPED = Path(__file__).parents[2] / "config" / "proxy" / "nginx.conf"
AROUND = """\
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log stderr warn;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/ctid.conf;
}}
"""
CLIENT = "127.0.0.2"
"""Where the client is: not where nginx is."""
VIEWER = {"Authorization": f"Bearer {token_of('viewer')}"}


@asynccontextmanager
async def nginx(floor: Floor, folder: Path) -> AsyncIterator[aiohttp.ClientSession]:
    """A client that speaks to nginx by TLS, and trusts its certificate alone."""
    cert, key = issue(folder, "proxy")
    port = free_port()
    text = SHIPPED.read_text()
    for shipped, ours in (
        ("server 127.0.0.1:8080;", "server {}:{};".format(*floor.server.address)),
        ("listen 443 ssl;", f"listen 127.0.0.1:{port} ssl;"),
        ("/etc/nginx/ctid.pem", str(cert)),
        ("/etc/nginx/ctid.key", str(key)),
    ):
        assert text.count(shipped) == 1
        text = text.replace(shipped, ours)
    (folder / "ctid.conf").write_text(text)
    (folder / "nginx.conf").write_text(AROUND.format(folder=folder))
    command = [
        *ensure_root().command("nginx"),
        "-e",
        "stderr",
        "-p",
        str(folder),
        "-c",
        str(folder / "nginx.conf"),
    ]
    log = folder / "nginx.log"
    with log.open("wb") as output:
        running = await asyncio.create_subprocess_exec(*command, stdout=output, stderr=output)
    try:
        async with aiohttp.ClientSession(
            f"https://127.0.0.1:{port}",
            connector=aiohttp.TCPConnector(
                ssl=ssl.create_default_context(cafile=cert), local_addr=(CLIENT, 0)
            ),
            auto_decompress=False,
            headers={"Accept-Encoding": "identity"},
        ) as http:
            async with asyncio.timeout(DEADLINE_S):
                while not await answers(http):
                    assert running.returncode is None, log.read_text()
                    await asyncio.sleep(0.02)
            yield http
    finally:
        running.terminate()
        await running.wait()


async def answers(http: aiohttp.ClientSession) -> bool:
    """Whether nginx listens."""
    try:
        async with http.get("/healthz") as reply:
            return reply.status == 200
    except aiohttp.ClientConnectorError:
        return False


@pytest.fixture
async def floor() -> AsyncIterator[Floor]:
    """A floor that trusts the proxy alone."""
    async with Floor(web=Web(proxies=Proxies([network_of("127.0.0.1")]))) as running:
        await running.populate()
        yield running


async def test_requests(floor: Floor, tmp_path: Path) -> None:
    """Requests, tags and refusals pass as they are; the figures, which need no token, do not."""
    async with nginx(floor, tmp_path) as http:
        async with http.get("/api/v1/agents", headers=VIEWER) as reply:
            assert (reply.status, len((await reply.json())["items"])) == (200, 4)
            tag = reply.headers["ETag"]
        async with http.get("/api/v1/agents", headers=VIEWER | {"If-None-Match": tag}) as reply:
            assert reply.status == 304
        async with http.get("/api/v1/calls?limit=0", headers=VIEWER) as reply:
            assert (reply.status, reply.content_type) == (422, "application/problem+json")
        async with http.get("/metrics") as reply:
            assert reply.status == 404


async def test_the_streams(floor: Floor, tmp_path: Path) -> None:
    """A WebSocket and server-sent events tell each change as it comes, and end with their client."""
    async with nginx(floor, tmp_path) as http:
        socket = await http.ws_connect("/api/v1/events?kind=agent", headers=VIEWER)
        assert (await socket.receive_json(timeout=DEADLINE_S))["type"] == "snapshot"
        async with http.get("/api/v1/events/stream?kind=agent", headers=VIEWER) as stream:
            await line(stream, b"event: snapshot\n")
            for number in range(3):
                await floor.pause("1002", f"reason {number}")
                told = await socket.receive_json(timeout=DEADLINE_S)
                assert told["entity"]["reason"] == f"reason {number}"
                await line(stream, b"event: change\n")
                assert json.loads((await stream.content.readline()).removeprefix(b"data: ")) == told
        await socket.close()
        await eventually(lambda: not any("websocket" in name for name in floor.subscriptions))


async def line(stream: aiohttp.ClientResponse, wanted: bytes) -> None:
    """Read to a line."""
    async with asyncio.timeout(DEADLINE_S):
        while await stream.content.readline() != wanted:
            pass


async def test_whom_it_comes_from(floor: Floor, tmp_path: Path) -> None:
    """The address is nginx's word, and not what a client writes into the header."""
    seen: list[str] = []
    authenticate = floor.door.gate.authenticate

    def noted(token: str | None, peer: str) -> object:
        seen.append(peer)
        return authenticate(token, peer)

    floor.door.gate.authenticate = noted  # type: ignore[method-assign,assignment]  # to look at what it is given
    async with nginx(floor, tmp_path) as http:
        for claimed in ("198.51.100.7", "198.51.100.8, 127.0.0.1"):
            async with http.get("/api/v1/agents", headers=VIEWER | {"X-Forwarded-For": claimed}) as reply:
                assert reply.status == 200
    assert seen == [CLIENT, CLIENT]
