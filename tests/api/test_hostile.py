"""Bytes that no honest client sends: each is answered or cut off, nothing is done, and ctid goes on."""

import asyncio
import json
import logging
import re
from collections.abc import AsyncIterator
from urllib.parse import quote_from_bytes

import pytest
from structlog.testing import capture_logs

from api.support import SESSION, Floor, token_of
from ctid.api.context import Limits

QUICK = Limits(head_s=0.3, body_s=0.3)
BEARER = f"Authorization: Bearer {token_of('supervisor')}"
CLOSING = f"Host: x\r\nConnection: close\r\n{BEARER}\r\n\r\n"
GET = f"GET /api/v1/agents HTTP/1.1\r\nHost: x\r\n{BEARER}\r\n"
PATCH = GET.replace("GET /api/v1/agents", f"PATCH /api/v1/supervisions/{SESSION}")
PATCH += "Content-Type: application/json\r\n"
WITHIN_S = 8.0


@pytest.fixture
async def floor() -> AsyncIterator[Floor]:
    """A populated floor with little patience, and a session on it."""
    async with Floor(QUICK) as running:
        await running.populate()
        await running.supervise()
        yield running


async def sent(floor: Floor, *parts: str | bytes, pause_s: float = 0.0) -> bytes:
    """Send bytes on a connection of their own, and read until the server ends it."""
    reader, writer = await asyncio.open_connection(*floor.server.address)
    answer = b""
    async with asyncio.timeout(WITHIN_S):
        try:
            for part in parts:
                writer.write(part.encode("latin-1") if isinstance(part, str) else part)
                await writer.drain()
                await asyncio.sleep(pause_s)
            answer = await reader.read()
        except ConnectionError:
            pass
    writer.close()
    return answer


def statuses(answer: bytes) -> list[int]:
    """The statuses of the answers that came."""
    return [int(status) for status in re.findall(rb"HTTP/1\.[01] (\d{3}) ", answer)]


async def is_well(floor: Floor) -> bool:
    """Whether others are served, and nobody commanded anything."""
    return (await floor.get("/agents")).status == 200 and floor.supervisions.asked == []


# Slowness ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("parts", [(), ("GET /api/v1/ag",), ("GET / HTTP/1.1\r\n", *["X: y\r\n"] * 40)])
async def test_a_head_that_does_not_come_is_cut_off(floor: Floor, parts: tuple[str, ...]) -> None:
    """Silence, a half line, and line after line for ever: the connection ends without an answer."""
    assert await sent(floor, *parts, pause_s=0.05) == b""
    assert await is_well(floor)


async def test_a_body_that_does_not_come_is_refused(floor: Floor) -> None:
    """408, and the connection ends."""
    answer = await sent(floor, PATCH + 'Content-Length: 40\r\n\r\n{"mode"')
    assert statuses(answer)[0] == 408
    assert await is_well(floor)


async def test_who_has_asked_may_wait(floor: Floor) -> None:
    """An answer that takes longer than a head may, a rest after it, and an open stream are not cut off."""
    floor.supervisions.gate.clear()
    events = await floor.events()
    await events.next()
    body = {"mode": "whisper"}
    asking = asyncio.create_task(  # noqa: TID251 - a test's own, which it awaits
        floor.request("PATCH", f"/api/v1/supervisions/{SESSION}", json=body)
    )
    await asyncio.sleep(3 * QUICK.head_s)  # that nothing is cut in this time cannot be waited for
    floor.supervisions.gate.set()
    assert (await asking).status == 200
    assert (await events.until("change"))["entity"]["mode"] == "whisper"
    await events.socket.close()


# What is no HTTP --------------------------------------------------------------------------------------

SMUGGLED = "GET /api/v1/queues HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.mark.parametrize(
    "request_",
    [
        PATCH + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + SMUGGLED,
        PATCH + "Content-Length: 5\r\nContent-Length: 6\r\n\r\n{}   " + SMUGGLED,
        PATCH + "Content-Length: +2\r\n\r\n{}" + SMUGGLED,
        PATCH + "Content-Length: 2,2\r\n\r\n{}" + SMUGGLED,
        PATCH + "Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n" + SMUGGLED,
        PATCH + "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" + SMUGGLED,
        PATCH + "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n" + SMUGGLED,
        GET + " folded: by a blank\r\n\r\n",
        GET + "X: a\rb\r\n\r\n",
        GET + "X: a\0b\r\n\r\n",
        GET + "no colon\r\n\r\n",
        "GET /api/v1/agents HTTP/9.9\r\nHost: x\r\n\r\n",
        "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        "\0" * 100 + "\r\n\r\n",
        GET + "".join(f"X-{number}: y\r\n" for number in range(1000)) + "\r\n",
        GET + f"X: {'y' * 100_000}\r\n\r\n",
        f"GET /api/v1/{'a' * 100_000} HTTP/1.1\r\nHost: x\r\n\r\n",
    ],
    ids=lambda text: repr(text[-50:]),
)
async def test_what_is_no_http(floor: Floor, request_: str) -> None:
    """One refusal and the end: nothing behind it is taken as a request, and no secret of it is logged."""
    with capture_logs() as lines:
        answer = await sent(floor, request_)
    found = statuses(answer)
    assert len(found) == 1, answer
    assert found[0] in (400, 411, 413, 414, 431, 501), answer
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"application/problem+json" in head
    assert (json.loads(body)["code"], json.loads(body)["status"]) == ("request.invalid", found[0])
    assert b"aiohttp" not in head
    assert b"queues" not in answer.partition(b"\r\n\r\n")[2]
    assert token_of("supervisor") not in str(lines)
    assert [line["log_level"] for line in lines] in ([], ["warning"])
    assert await is_well(floor)


async def test_expectations(floor: Floor) -> None:
    """100-continue is met, and any other a problem document (RFC 9110, 10.1.1)."""
    body = '{"mode":"whisper"}'
    head = PATCH + f"Content-Length: {len(body)}\r\nConnection: close\r\nExpect: "
    assert statuses(await sent(floor, f"{head}100-continue\r\n\r\n", body)) == [100, 200]
    answer = await sent(floor, f"{head}miracles\r\n\r\n", body)
    assert statuses(answer) == [417]
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["code"] == "request.invalid"


async def test_what_is_no_http_fills_no_log(floor: Floor, caplog: pytest.LogCaptureFixture) -> None:
    """A hundred of it are one line, without a traceback."""
    with capture_logs() as lines, caplog.at_level(logging.DEBUG):
        for _ in range(100):
            await sent(floor, GET + "X: \0\r\n\r\n")
    assert [(line["event"], line["peer"]) for line in lines] == [("this is no HTTP", "127.0.0.1")]
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


async def test_chunks_that_are_none(floor: Floor) -> None:
    """A body whose chunks have no good size is refused, and what follows is not taken as a request."""
    for chunk in (
        "zz\r\n{}\r\n",
        "-1\r\n{}\r\n",
        "0x2\r\n{}\r\n",
        "2;" + "x" * 50_000 + "\r\n{}\r\n",
        "2\n{}\n0\n\n",
    ):
        answer = await sent(floor, PATCH + "Transfer-Encoding: chunked\r\n\r\n" + chunk + SMUGGLED)
        assert len(statuses(answer)) <= 1, (chunk, answer)
        assert all(400 <= status < 500 for status in statuses(answer)), (chunk, answer)
        assert await is_well(floor)


async def test_a_body_in_many_chunks_is_bounded(floor: Floor) -> None:
    """A body of unknown length is read no further than any operation needs."""
    chunks = [f"{4096:x}\r\n{' ' * 4096}\r\n"] * 64
    answer = await sent(floor, PATCH + "Transfer-Encoding: chunked\r\n\r\n", *chunks)
    assert statuses(answer)[:1] in ([413], [])
    assert await is_well(floor)


# Paths and names --------------------------------------------------------------------------------------

ESCAPED = [
    b"a/b",
    b"..",
    b"../queues",
    b"a\0b",
    b"\xff\xfe",
    b"a b",
    b"\xe2\x80\xae",
    b"%41",
    b"a?b",
    b"a#b",
    b"\\",
]


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "DELETE", "OPTIONS", "TRACE", "BREW"])
async def test_escaped_ids(floor: Floor, method: str) -> None:
    """An id with anything escaped in it is unknown or refused, and never another path's."""
    known = {"agent.unknown", "request.path_unknown", "request.method_not_allowed", "request.invalid"}
    for ident in ESCAPED:
        target = f"/api/v1/agents/{quote_from_bytes(ident, safe='')}"
        answer = await sent(floor, f"{method} {target} HTTP/1.1\r\n{CLOSING}")
        head, _, body = answer.partition(b"\r\n\r\n")
        assert statuses(head)[0] in (400, 404, 405, 422), answer
        assert b"application/problem+json" in head
        assert method == "HEAD" or json.loads(body)["code"] in known
    assert await is_well(floor)


@pytest.mark.parametrize(
    "target",
    [
        "/api/v1//agents",
        "/api/v1/./agents",
        "/api/v1/queues/../agents",
        "//api/v1/agents",
        "/api/v1/agents/",
        "*",
        "http://else/x",
    ],
)
async def test_other_ways_to_write_a_path(floor: Floor, target: str) -> None:
    """A path is taken as it is written: there is no second way to it that a proxy's rules may not know."""
    answer = await sent(floor, f"GET {target} HTTP/1.1\r\n{CLOSING}")
    assert statuses(answer)[0] in (400, 404), answer


async def test_many_connections_at_once(floor: Floor) -> None:
    """Two hundred that say nothing are gone in time, and do not keep others waiting."""
    opened = [await asyncio.open_connection(*floor.server.address) for _ in range(200)]
    assert await is_well(floor)
    async with asyncio.timeout(WITHIN_S):
        ends = [await reader.read() for reader, _ in opened]
    assert ends == [b""] * len(opened)
    for _, writer in opened:
        writer.close()
