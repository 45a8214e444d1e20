"""What somebody with a token, or without one, can do to a real PBX through ctid: no more than he should."""

import asyncio
import hashlib
import itertools
import json
import logging
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode

import aiohttp
import pytest
from yarl import URL

from ctid.api.operations import Operation
from ctid.model.users import UserRole
from e2e import bus
from e2e.conftest import leave_quiet
from e2e.floor import Floor, floor_of
from helpers.patience import until
from helpers.texts import TEXTS, with_text
from lab import daemon
from lab.phone_client import Phone
from lab.rig import Rig

pytestmark = pytest.mark.lab
log = logging.getLogger(__name__)

SUP = "2001"
FLOOD = 10_000
CONNECTIONS = 50
START = {"agent": "1001", "via": {"phone": SUP}, "purpose": "quality"}
GUEST = "lab-guest-who-leaves"
MORE_MEMORY_KB = 64 * 1024
"""Far above what the daemon's memory moves by itself, far below what 10,000 of anything kept would take."""


@pytest.fixture(scope="module")
def attacked_rig() -> Iterator[Rig]:
    """A rig whose daemon has the rates that it has by default, and a guest's token, which has expired."""

    def make(rig: Rig) -> Any:
        path = daemon.write_configuration(rig, ring_s=3.0)
        text = path.read_text()
        assert daemon.WIDE_RATES in text
        path.write_text(text.replace(daemon.WIDE_RATES, "") + guest(datetime(2026, 1, 31, tzinfo=UTC)))
        return daemon.service(rig, path)

    with Rig.for_tests(services=(bus.watcher, make)) as running:
        yield running


def guest(expires: datetime) -> str:
    """The guest's table of the configuration."""
    digest = hashlib.sha256(GUEST.encode()).hexdigest()
    return (
        f'\n[[token]]\nname = "guest"\nrole = "supervisor"\nphones = ["{SUP}"]\nlab = true\n'
        f'sha256 = "{digest}"\nexpires = {expires:%Y-%m-%dT%H:%M:%SZ}\n'
    )


@pytest.fixture
async def floor(attacked_rig: Rig) -> AsyncIterator[Floor]:
    """A floor on it, empty before and after."""
    async with floor_of(attacked_rig, leave_quiet) as opened:
        yield opened


@pytest.fixture
def flooded(attacked_rig: Rig) -> Iterator[None]:
    """For a test that empties buckets: the daemon has forgotten them afterwards."""
    yield
    attacked_rig.restart("ctid")


class Raw(NamedTuple):
    """An answer with its headers."""

    status: int
    headers: Any
    body: Any

    @property
    def code(self) -> str:
        """The problem's code, or nothing."""
        return str(self.body.get("code", ""))


@asynccontextmanager
async def speaker(floor: Floor, token: str | None = None) -> AsyncIterator[aiohttp.ClientSession]:
    """A client that sends what it is given, by default with the supervisor's token."""
    bearer = token or daemon.tokens_of(floor.rig)["supervisor"]
    headers = {"Authorization": f"Bearer {bearer}"}
    async with aiohttp.ClientSession(f"{daemon.url_of(floor.rig)}", headers=headers) as http:
        yield http


async def send(
    http: aiohttp.ClientSession, method: str, path: str, body: object = None, key: str | None = None
) -> Raw:
    """Send a request; a `bytes` body goes as it is."""
    data = body if isinstance(body, bytes) else None if body is None else json.dumps(body).encode()
    headers = {"Content-Type": "application/json"} if data is not None else {}
    if key is not None:
        headers["Idempotency-Key"] = key
    async with http.request(
        method, URL(f"/api/v1{path}", encoded=True), data=data, headers=headers
    ) as answer:
        return Raw(answer.status, answer.headers.copy(), await answer.json(content_type=None))


# Who comes too often ----------------------------------------------------------------------------------


@pytest.mark.usefixtures("flooded")
async def test_ten_thousand_posts(floor: Floor) -> None:
    """Of 10,000 POSTs a few reach the PBX; the daemon answers others meanwhile, and does not grow."""
    customer, agent = await floor.talk()
    supervisor, *_ = await floor.phones.open(SUP)
    await supervisor.auto_answer(0.0)
    before_kb, paused_before = memory_kb(floor.rig), pauses(floor.rig)
    began = time.monotonic()
    flood = asyncio.gather(
        *[post_again_and_again(floor.rig, number, FLOOD // CONNECTIONS) for number in range(CONNECTIONS)]
    )
    waits = []
    async with speaker(floor, daemon.tokens_of(floor.rig)["admin"]) as admin:
        while not flood.done():
            asked = time.monotonic()
            async with admin.get("/readyz") as ready:
                assert ready.status == 200
            assert (await send(admin, "GET", "/agents/1001")).status == 200
            waits.append(time.monotonic() - asked)
            await asyncio.sleep(0.05)
    statuses = [status for connection in await flood for status in connection]
    took = time.monotonic() - began
    grown_kb = memory_kb(floor.rig) - before_kb
    refused, paused = statuses.count(429), pauses(floor.rig) - paused_before
    told = f"{FLOOD} POSTs in {took:.2f} s: {refused} refused; the PBX saw {paused} pauses and "
    told += f"{rings(supervisor)} ring; others waited {max(waits):.3f} s at most; +{grown_kb} kB"
    log.info(told)
    assert len(statuses) == FLOOD
    assert set(statuses) <= {200, 201, 409, 429}, set(statuses)
    # By the rate: the burst, and so many a second while it lasted.
    assert FLOOD - refused <= 20 + 10 * (took + 1)
    assert 0 < paused <= FLOOD - refused
    assert rings(supervisor) == statuses.count(201) <= 1
    assert waits
    assert grown_kb < MORE_MEMORY_KB
    await floor.hear({agent: {"3001"}, customer: {"1001"}})
    await supervisor.hangup() if rings(supervisor) else None
    await until(lambda: not floor.ours(), what="the one session has ended")


async def post_again_and_again(rig: Rig, number: int, times: int) -> list[int]:
    """Command over one connection, one request after the other; the statuses.

    Even connections ask for a session, odd ones for a pause with a reason of each its own.
    """
    path = "agents/1002/pause" if number % 2 else "supervisions"
    head = (
        f"POST /api/v1/{path} HTTP/1.1\r\nHost: ctid\r\nContent-Type: application/json\r\n"
        f"Authorization: Bearer {daemon.tokens_of(rig)['supervisor']}\r\n"
    )
    reader, writer = await asyncio.open_connection("127.0.0.1", rig.ports.http)
    statuses = []
    try:
        for turn in range(times):
            body = json.dumps({"reason": f"{number} {turn}"} if number % 2 else START)
            writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode())
            answer = await reader.readuntil(b"\r\n\r\n")
            statuses.append(int(answer.split(b" ", 2)[1]))
            (length,) = [
                int(line.split(b":")[1])
                for line in answer.lower().split(b"\r\n")
                if line.startswith(b"content-length:")
            ]
            await reader.readexactly(length)
    finally:
        writer.close()
        await writer.wait_closed()
    return statuses


def memory_kb(rig: Rig) -> int:
    """What the daemon holds of the machine's memory."""
    status = Path(f"/proc/{rig.identity('ctid').pid}/status").read_text("ascii")
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS:"))


def rings(phone: Phone) -> int:
    """How often a phone has begun to ring."""
    states = [state for state, _ in itertools.groupby(state for _, state in phone.history)]
    return states.count("ringing")


def pauses(rig: Rig) -> int:
    """How many pauses the PBX was asked for, by its own log."""
    return rig.paths.queue_log.read_text("utf-8").count("|PAUSE|")


@pytest.mark.usefixtures("flooded")
async def test_guessed_tokens(floor: Floor) -> None:
    """Who guesses tokens is told to wait; whoever has a good one is let in from the same address."""
    async with speaker(floor, "guessed") as guesser, speaker(floor) as known:
        statuses = [(await send(guesser, "GET", "/agents")).status for _ in range(60)]
        assert set(statuses) == {401, 429}
        last = await send(guesser, "POST", "/supervisions", START)
        assert last.code in ("auth.required", "request.rate_limited")
        assert (await send(known, "GET", "/agents")).status == 200


# Tokens that have expired -----------------------------------------------------------------------------


async def test_an_expired_token(floor: Floor) -> None:
    """A token that has expired reads nothing and rings nobody; the admin's status tells of it."""
    await floor.phones.open(SUP)
    async with speaker(floor, GUEST) as late:
        for method, path, body in (
            ("GET", "/agents", None),
            ("GET", "/events", None),
            ("POST", "/supervisions", START),
            ("DELETE", "/supervisions/s1", None),
        ):
            answer = await send(late, method, path, body)
            assert (answer.status, answer.code) == (401, "auth.expired"), answer
            assert "ctid token" in answer.body["detail"]
    async with speaker(floor, daemon.tokens_of(floor.rig)["admin"]) as admin:
        status = (await send(admin, "GET", "/status")).body
    assert [token["name"] for token in status["tokens"]] == ["guest"]
    assert not floor.rig.channels()


async def test_a_socket_ends_with_its_token(attacked_rig: Rig) -> None:
    """A socket that is open when its token expires is closed with 4401 within a second or so."""
    path = attacked_rig.base / "ctid" / "ctid.toml"
    before = path.read_text()
    soon = datetime.fromtimestamp(int(time.time()) + 8, UTC)
    path.write_text(before.replace(guest(datetime(2026, 1, 31, tzinfo=UTC)), guest(soon)))
    attacked_rig.restart("ctid")
    try:
        headers = {"Authorization": f"Bearer {GUEST}"}
        async with (
            aiohttp.ClientSession(headers=headers) as http,
            http.ws_connect(f"{daemon.url_of(attacked_rig)}/api/v1/events") as socket,
        ):
            async with asyncio.timeout(30):
                while (message := await socket.receive()).type is aiohttp.WSMsgType.TEXT:
                    pass
            assert (message.type, socket.close_code) == (aiohttp.WSMsgType.CLOSE, 4401)
        assert time.time() >= soon.timestamp()
    finally:
        path.write_text(before)
        attacked_rig.restart("ctid")


# Commands that come again -----------------------------------------------------------------------------


async def test_a_replayed_start_rings_once(floor: Floor) -> None:
    """The same POST with the same key, at once and later, rings her phone once and undoes nothing later."""
    customer, agent = await floor.talk()
    supervisor, *_ = await floor.phones.open(SUP)
    await supervisor.auto_answer(0.3)
    async with speaker(floor) as http:
        together = await asyncio.gather(
            *[send(http, "POST", "/supervisions", START, "k-1") for _ in range(4)]
        )
        assert {answer.status for answer in together} == {201}
        assert len({answer.body["id"] for answer in together}) == 1
        assert sum(answer.headers.get("Idempotency-Replayed") == "true" for answer in together) == 3
        session = together[0].body["id"]
        whisper = await send(http, "PATCH", f"/supervisions/{session}", {"mode": "whisper"}, "k-2")
        assert whisper.status == 200
        assert (await floor.api.switch(session, "listen")).status == 200
        for body, path, method in (
            (START, "/supervisions", "POST"),
            ({"mode": "whisper"}, f"/supervisions/{session}", "PATCH"),
        ):
            again = await send(http, method, path, body, "k-1" if method == "POST" else "k-2")
            assert again.headers.get("Idempotency-Replayed") == "true"
        other = await send(http, "POST", "/supervisions", START | {"mode": "barge"}, "k-1")
        assert (other.status, other.code) == (422, "request.key_reused")
    assert rings(supervisor) == 1
    await floor.hear({agent: {"3001"}, customer: {"1001"}, supervisor: {"1001", "3001"}})
    assert (await floor.api.get(f"/supervisions/{session}"))["mode"] == "listen"
    assert (await floor.api.end(session)).status == 200


# What is written into requests ------------------------------------------------------------------------

INJECTION = "x\r\nAction: Originate\r\nChannel: PJSIP/1001\r\nApplication: Echo\r\n\r\n"


async def test_line_breaks_in_every_text(floor: Floor) -> None:
    """CR, LF and NUL in any text of any request are 422 by its name, and reach neither PBX nor audit."""
    await floor.phones.open("1001", SUP)
    await until(lambda: floor.agent_is("1001", "ready"), what="1001 is ready")
    audited = audit_of(floor.rig)
    tokens = daemon.tokens_of(floor.rig)
    async with speaker(floor, tokens["admin"]) as admin, speaker(floor, tokens["agent"]) as agent:
        for operation, field in TEXTS:
            http = admin if UserRole.ADMIN in operation.roles else agent
            for odd in (INJECTION, "a\0b"):
                answer = await inject(http, operation, field, odd)
                assert (answer.status, answer.code) == (422, "request.invalid"), (operation.name, answer)
                assert answer.body["field"] == field, (operation.name, answer)
    assert audit_of(floor.rig) == audited
    assert not floor.rig.channels()
    assert (await floor.api.get("/agents/1001"))["state"] == "ready"
    assert "Action: Originate" not in (floor.rig.paths.log / "full").read_text("utf-8", "replace")


async def inject(http: aiohttp.ClientSession, operation: Operation, field: str, text: str) -> Raw:
    """Send a good request of an operation but for one text; when there were too many, once more."""
    params = with_text(operation, field, text)
    path = operation.path
    for name in operation.path_params:
        path = path.replace(f"{{{name}}}", quote(params.pop(name), safe=""))
    if not operation.has_body:
        path += f"?{urlencode(params)}"
    while True:
        answer = await send(http, operation.method, path, params if operation.has_body else None)
        if answer.status != 429:
            return answer
        await asyncio.sleep(answer.body["retry_after_s"])


@pytest.mark.parametrize(
    "phone",
    [
        "PJSIP/2001&PJSIP/3001",
        "PJSIP/2001",
        "Local/3001@from-internal",
        "2001&2002",
        "2001@trunk",
        "2001,20,tT",
        "${SHELL(id)}",
        "PJSIP/0033612345678@trunk",
        "../2001",
        "",
        "2001 ",
    ],
)
async def test_endpoints_in_place_of_a_phone(floor: Floor, phone: str) -> None:
    """A phone is one of the names that the token may use; whatever else is written there rings nobody."""
    await floor.phones.open("1001", SUP, "3001")
    for role in ("supervisor", "admin"):
        async with speaker(floor, daemon.tokens_of(floor.rig)[role]) as http:
            answer = await send(http, "POST", "/supervisions", START | {"via": {"phone": phone}})
        assert (answer.status, answer.code) == (403, "supervision.phone_not_allowed"), answer
    assert not floor.rig.channels()


async def test_bodies_that_are_no_requests(floor: Floor) -> None:
    """Unknown keys, keys given twice, huge, deep and broken bodies are refused, and the daemon goes on."""
    audited = audit_of(floor.rig)
    whole = json.dumps(START)
    async with speaker(floor) as http:
        for body, status, code, field in (
            (START | {"address": "PJSIP/3001"}, 422, "request.invalid", "address"),
            (START | {"via": {"phone": SUP, "address": "PJSIP/3001"}}, 422, "request.invalid", "via.address"),
            (f'{whole[:-1]}, "agent": "1002"}}'.encode(), 422, "request.invalid", "agent"),
            (whole.encode() + b"}", 400, "request.invalid", None),
            (b"[" * 60_000, 400, "request.invalid", None),
            (b'{"a":' * 10_000 + b"1" + b"}" * 10_000, 400, "request.invalid", None),
            (START | {"note": "x" * 70_000}, 413, "request.too_large", None),
            (START | {"note": "x" * 201}, 422, "request.invalid", "note"),
            (b"\xff\xfe", 400, "request.invalid", None),
        ):
            answer = await send(http, "POST", "/supervisions", body)
            assert (answer.status, answer.code) == (status, code), (body, answer)
            assert answer.body.get("field") == field, answer
        assert (await send(http, "GET", "/status")).status == 200
    assert audit_of(floor.rig) == audited
    assert not floor.rig.channels()


def audit_of(rig: Rig) -> dict[str, bytes]:
    """All that the daemon has written down of supervisions."""
    state = rig.base / "ctid"
    return {
        str(path): path.read_bytes()
        for path in state.rglob("*")
        if path.is_file() and "audit" in str(path.relative_to(state))
    }


# Two at once ------------------------------------------------------------------------------------------


async def test_two_switches_at_once(floor: Floor) -> None:
    """Of two PATCHes at once both answers are sane, and at last she is heard as the session says."""
    customer, agent = await floor.talk()
    supervisor, *_ = await floor.phones.open(SUP)
    await supervisor.auto_answer(0.0)
    session = await floor.begin(agent="1001")
    both = {"3001", "1001"}
    pictures = {
        "listen": {agent: {"3001"}, customer: {"1001"}, supervisor: both},
        "whisper": {agent: {"3001", SUP}, customer: {"1001"}, supervisor: both},
        "barge": {agent: {"3001", SUP}, customer: {"1001", SUP}, supervisor: both},
    }
    for pair in (("barge", "listen"), ("listen", "whisper"), ("whisper", "barge"), ("barge", "listen")):
        answers = await asyncio.gather(*[floor.api.switch(session, mode) for mode in pair])
        for mode, answer in zip(pair, answers, strict=True):
            assert answer.status in (200, 409), answer
            if answer.status == 200:
                assert answer.body["mode"] == mode, answer
        assert any(answer.status == 200 for answer in answers), answers
        mode = (await floor.api.get(f"/supervisions/{session}"))["mode"]
        assert mode in pair
        await floor.hear(pictures[mode])
    assert (await floor.api.end(session)).status == 200


@pytest.mark.parametrize("mode", ["barge", "takeover"])
async def test_delete_while_switching(floor: Floor, mode: str) -> None:
    """A DELETE amid a PATCH ends the session, leaves nothing on the PBX, and never the customer alone."""
    customer, agent = await floor.talk()
    supervisor, *_ = await floor.phones.open(SUP)
    await supervisor.auto_answer(0.0)
    for after_s in (0.0, 0.005, 0.02) if mode == "barge" else (0.0,):
        session = await floor.begin(agent="1001")

        async def leave(ident: str = session, after_s: float = after_s) -> Any:
            await asyncio.sleep(after_s)
            return await floor.api.end(ident)

        switched, ended = await asyncio.gather(floor.api.switch(session, mode), leave())
        assert switched.status in (200, 404, 409), switched
        assert (ended.status, ended.body["state"]) == (200, "ended"), ended
        await until(lambda: not floor.ours(), what="nothing of ctid is left on the PBX")
        assert (await floor.api.get("/supervisions"))["items"] == []
        await supervisor.wait_state("idle")
        if mode == "barge" or switched.status != 200:
            await floor.hear({agent: {"3001"}, customer: {"1001"}})
